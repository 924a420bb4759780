//! Asking the decision what it would do, and the host stack beside it.

use std::net::IpAddr;

use netpath_common::{Action, Path, Reason};

use super::{Error, Node, drift};
use crate::{
    api::types::{Explanation, KernelAnswer, Question, Step, Verdict},
    datapath::{self, Explanation as Explained, Query},
    netlink::{Answer, Inquiry},
    route::Table,
};

impl Node {
    /// Runs the very decision of the programs over the live maps, and asks the host stack for the way
    /// of the same packet.
    pub(super) async fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        let source = self.resolve("source", &question.source, None)?;
        let destination = self.resolve("destination", &question.destination, Some(source))?;
        if source.is_ipv4() != destination.is_ipv4() {
            let problem = format!("{destination} is not of the family of {source}");
            return Err(Error::Question { field: "destination", problem });
        }
        if self.is_by_own_nic(source, destination) {
            return Ok(by_own_nic());
        }
        let query = Query {
            ifindex: self.crossing(question, source, destination)?,
            source,
            destination,
            protocol: question.protocol.number(destination),
            source_port: question.source_port.unwrap_or(0),
            destination_port: question.destination_port.unwrap_or(0),
        };
        let Explained { hook, steps, verdict, next_hop, hops } = self.datapath.explain(&query)?;
        let kernel = self.netlink.way_of(&self.inquiry(&query, question.mark)).await?;
        let step = |step: datapath::Step| Step { question: step.question, answer: step.answer };
        Ok(Explanation {
            hook: hook.name().to_owned(),
            steps: steps.into_iter().map(step).collect(),
            verdict: Verdict {
                path: verdict.path().name().to_owned(),
                reason: verdict.reason().name().to_owned(),
                action: describe(verdict.action).to_owned(),
                next_hop,
            },
            drift: drift::differs(&verdict, query.ifindex, &hops, &kernel),
            kernel: Some(self.show_answer(kernel, &query).await?),
        })
    }

    /// The question to the host stack. What an endpoint sends comes to it by the kernel entry, or by
    /// the endpoint's own device.
    fn inquiry(&self, query: &Query, mark: Option<u32>) -> Inquiry {
        let Query { ifindex, source, destination, protocol, source_port, destination_port } =
            *query;
        let input = match self.state.owner(source) {
            Some(owner) => Some(*self.state.devices.get(owner).unwrap_or(&self.entry.ifindex)),
            None if self.state.host.contains(&source) => None,
            None => Some(ifindex),
        };
        let mark = mark.unwrap_or(0);
        Inquiry { source, destination, input, protocol, source_port, destination_port, mark }
    }

    async fn show_answer(&self, answer: Answer, query: &Query) -> Result<KernelAnswer, Error> {
        Ok(match answer {
            Answer::Sent { index, gateway, table } => {
                let link = self.netlink.link_by_index(index).await?;
                let interface = link.map_or_else(|| index.to_string(), |link| link.name);
                let masqueraded = self.is_masqueraded(query.source, query.destination, index);
                KernelAnswer::Sent { interface, gateway, table: Table(table), masqueraded }
            }
            Answer::Received => KernelAnswer::Received,
            Answer::Refused(reason) => KernelAnswer::Refused { reason },
        })
    }

    /// An address, or an endpoint's: of the family of `like`, or the primary one.
    fn resolve(
        &self,
        field: &'static str,
        text: &str,
        like: Option<IpAddr>,
    ) -> Result<IpAddr, Error> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let record = text.parse().ok().and_then(|name| self.state.endpoint(&name));
        let addresses = record.into_iter().flat_map(|record| record.spec.addresses.iter());
        let fits = |address: &IpAddr| like.is_none_or(|like| like.is_ipv4() == address.is_ipv4());
        addresses.map(ipnet::IpNet::addr).find(fits).ok_or_else(|| Error::Question {
            field,
            problem: format!(
                "{text:?} is neither an address nor an endpoint with one of that family"
            ),
        })
    }

    /// Whether an endpoint sends it by a NIC of its own, where netpath has no hook.
    fn is_by_own_nic(&self, source: IpAddr, destination: IpAddr) -> bool {
        let sender = self.state.owner(source).and_then(|name| self.state.endpoint(name));
        sender.is_some_and(|sender| sender.nic.is_some())
            && !self.state.prefixes().iter().any(|prefix| prefix.contains(&destination))
    }

    /// The parent that the packet crosses: the one asked for, the sender's, the receiver's, or the
    /// first one.
    fn crossing(
        &self,
        question: &Question,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<u32, Error> {
        let parent_of = |address| {
            let record = self.state.endpoint(self.state.owner(address)?)?;
            Some(&record.spec.parent).filter(|name| self.state.parents.contains_key(*name))
        };
        let name = question
            .parent
            .as_ref()
            .or_else(|| parent_of(source))
            .or_else(|| parent_of(destination))
            .or_else(|| self.state.parents.keys().next());
        let parent = name.and_then(|name| self.state.parents.get(name));
        parent.map(|parent| parent.link.index).ok_or_else(|| {
            let names: Vec<_> = self.state.parents.keys().map(ToString::to_string).collect();
            let problem = format!("not a parent of this node; choose one of {}", names.join(", "));
            Error::Question { field: "parent", problem }
        })
    }
}

fn by_own_nic() -> Explanation {
    let step = Step {
        question: "the sender's own routes".to_owned(),
        answer: "by its own NIC, past netpath".to_owned(),
    };
    Explanation {
        hook: "none".to_owned(),
        steps: vec![step],
        verdict: Verdict {
            path: Path::Router.name().to_owned(),
            reason: Reason::NoRoute.name().to_owned(),
            action: "sent by the endpoint's own NIC".to_owned(),
            next_hop: None,
        },
        kernel: None,
        drift: false,
    }
}

const fn describe(action: Action) -> &'static str {
    match action {
        Action::Pass => "left as it is",
        Action::Drop => "dropped",
        Action::Receive => "received by the parent",
        Action::Enter => "received by the kernel entry",
        Action::Answer => "answered by netpath",
        Action::NextHop => "sent to the route's next hop",
        Action::Reply => "answered by netpath, on the wire",
        Action::Peer => "received by the endpoint",
        Action::Send => "sent by the endpoint's device",
        Action::Translate => "translated for a Service",
        Action::Forward => "sent by the parent, as its table or the host's routes say",
    }
}
