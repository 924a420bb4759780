//! The decision over the live maps, with every question that it asks.

use std::{cell::RefCell, fmt, net::IpAddr, ops::Deref};

use netpath_common::{
    Action, Address, Attachment, Connection, Endpoint, FlowKey, Hook, Kind, Mac, Node, Packet,
    Parent, Path, Route, RouteKey, Tables, Verdict,
    decide::{self, Origin},
    endpoint::DEVICE_MAC,
};

mod service;

pub use self::service::Translation;
use self::service::Tuple;
use super::{Datapath, Error, routes::to_trie};

/// A packet to explain.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Interface index of the parent that it crosses.
    pub ifindex: u32,
    /// Who sends it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The sender's port; an echo's identifier.
    pub source_port: u16,
    /// The receiver's port; an echo's identifier.
    pub destination_port: u16,
}

/// A question that the decision asked, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was asked of which table.
    pub question: String,
    /// What the table said.
    pub answer: String,
}

/// The decision and how it came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The hook that decides.
    pub hook: Hook,
    /// The questions in their order.
    pub steps: Vec<Step>,
    /// The decision.
    pub verdict: Verdict,
    /// What the packet becomes on its way, if it is to a Service, or of one.
    pub translation: Option<Translation>,
    /// The flow's next hop, where a route has chosen it.
    pub next_hop: Option<IpAddr>,
    /// All that the route has.
    pub hops: Vec<IpAddr>,
}

impl Datapath {
    /// Decides on a packet as the programs would, and tells why.
    ///
    /// What an endpoint or the node sends is decided at TC egress, or where an endpoint's own device
    /// receives it, with the Ethernet addresses that an honest sender would use; what anyone else sends comes from the wire to TC ingress.
    ///
    /// # Errors
    ///
    /// A map that can not be read.
    pub fn explain(&self, query: &Query) -> Result<Explanation, Error> {
        let source = Address::from(query.source);
        let sender = self.endpoints.get(&source);
        let mut packet = Packet {
            source,
            destination: query.destination.into(),
            speaks_for: source,
            source_port: query.source_port.to_be(),
            destination_port: query.destination_port.to_be(),
            protocol: query.protocol,
            kind: Kind::Ip,
            ..Packet::default()
        };
        let tables = Live { datapath: self, steps: RefCell::default() };
        let (verdict, parent) = if let Some(sender) = sender.filter(Endpoint::has_device) {
            packet.source_mac = sender.mac.word();
            packet.destination_mac = DEVICE_MAC.word();
            decide::from_endpoint(&tables, &packet, sender.device)
        } else if let Some(sender) = sender {
            packet.source_mac = sender.mac.word();
            // Where an honest sender's socket is at home.
            let namespace = sender.namespace;
            let origin = Origin { ifindex: query.ifindex, forwarded: false, namespace };
            (decide::egress(&tables, &packet, origin, || false), query.ifindex)
        } else {
            packet.source_mac = NEIGHBOUR.word();
            (decide::ingress(&tables, &packet, query.ifindex, 0), query.ifindex)
        };
        let hook = match sender {
            Some(sender) if sender.has_device() => Hook::FromEndpoint,
            Some(_) => Hook::Egress,
            None => Hook::Ingress,
        };
        let (verdict, translation) = if verdict.action == Action::Translate {
            service::go_on(&tables, packet, hook, parent, &verdict)
        } else {
            (verdict, None)
        };
        let steps = tables.steps.take();
        let (next_hop, hops) = match verdict.action {
            Action::NextHop => {
                let hops = decide::route_of(&tables, &packet)
                    .map(|route| route.next_hops().map(IpAddr::from).collect());
                (decide::next_hop(&tables, &packet).map(IpAddr::from), hops.unwrap_or_default())
            }
            Action::Forward => {
                let parent = self.parents.get(&verdict.ifindex, 0).ok();
                let known = parent.and_then(|parent| parent.next_hop(&packet.destination));
                // A neighbour is no hop.
                let router = known.filter(|hop| *hop != packet.destination).map(IpAddr::from);
                (router, router.into_iter().collect())
            }
            _ => (None, Vec::new()),
        };
        Ok(Explanation { hook, steps, verdict, translation, next_hop, hops })
    }
}

/// Some Ethernet address of the wire: frames with equal addresses come from the ipvlan driver.
const NEIGHBOUR: Mac = Mac::new([2, 0, 0, 0, 0, 1]);

/// The live maps, taking notes.
struct Live<'a> {
    datapath: &'a Datapath,
    steps: RefCell<Vec<Step>>,
}

/// A value read from a map.
struct Copied<V>(V);

impl<V> Deref for Copied<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

impl Live<'_> {
    fn note<V>(
        &self,
        question: String,
        value: Option<V>,
        answer: impl FnOnce(&V) -> String,
    ) -> Option<Copied<V>> {
        let answer = value.as_ref().map_or_else(|| "nothing".to_owned(), answer);
        self.steps.borrow_mut().push(Step { question, answer });
        value.map(Copied)
    }
}

impl Tables for Live<'_> {
    // Where the programs do not, no table has anything of Services.
    const TRANSLATES: bool = true;

    type Ref<'a, V: 'a>
        = Copied<V>
    where
        Self: 'a;

    fn endpoint(&self, address: &Address) -> Option<Copied<Endpoint>> {
        let found = self.datapath.endpoints.get(address);
        self.note(format!("endpoints: {address}"), found, |endpoint| {
            let Endpoint { parent, table, mac, attachment, .. } = endpoint;
            match Attachment::from_u8(*attachment) {
                Some(Attachment::Host) => "an address of the node".to_owned(),
                Some(attachment) => format!(
                    "an endpoint ({}) on parent {parent}, {mac}, table {table}",
                    attachment.name()
                ),
                None => format!("an endpoint of unknown attachment {attachment}"),
            }
        })
    }

    fn route(&self, key: &RouteKey) -> Option<Copied<Route>> {
        let found = self.datapath.routes.get(&to_trie(key), 0).ok();
        let question = format!("routes: {} in table {}", key.address, key.table);
        self.note(question, found, |route| {
            if !route.is_for(&key.address) {
                return "only a prefix of IPv6".to_owned();
            }
            let path = Path::from_u8(route.path).map_or("drop", Path::name);
            let key = RouteKey { prefix_len: route.prefix_len.into(), ..*key };
            format!("a prefix of length {}: {path}{}", key.length(), Hops(route))
        })
    }

    fn is_pod(&self, namespace: u32) -> bool {
        let found = self.datapath.namespaces.get(&namespace, 0).ok();
        self.note(format!("namespaces: {namespace}"), found, |_| "a pod's".to_owned()).is_some()
    }

    fn parent(&self, ifindex: u32) -> Option<Copied<Parent>> {
        let found = self.datapath.parents.get(&ifindex, 0).ok();
        self.note(format!("parents: {ifindex}"), found, |parent| parent.mac.to_string())
    }

    fn node(&self) -> Option<Copied<Node>> {
        let found = self.datapath.node.get(&0, 0).ok();
        self.note("node".to_owned(), found, |node| match node.entry {
            0 => "no kernel entry".to_owned(),
            entry => format!("kernel entry {entry}, {}", node.entry_mac),
        })
    }

    fn gates(&self, slot: u32) -> u32 {
        self.datapath.endpoint_flows.get(&slot, 0).unwrap_or(0)
    }

    fn node_gates(&self) -> u32 {
        self.datapath.node_flows.get(&0, 0).unwrap_or(0)
    }

    fn connection(&self, key: &FlowKey) -> Option<Copied<Connection>> {
        let found = self.datapath.connections.get(key, 0).ok();
        self.note(format!("connections: {}", Tuple(key)), found, |known| {
            format!("becomes {}", Tuple(&known.tuple(key.protocol)))
        })
    }

    fn flow(&self, key: &FlowKey) -> bool {
        let question = format!("flows: {} to {}", key.source, key.destination);
        self.note(question, self.datapath.flows.get(key, 0).ok(), |_| "recorded".to_owned())
            .is_some()
    }
}

/// The next hops of a route, if it has any.
struct Hops<'a>(&'a Route);

impl fmt::Display for Hops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(route) = self;
        for (number, hop) in route.next_hops().enumerate() {
            let word = if number == 0 { "via" } else { "or" };
            write!(f, " {word} {hop}")?;
        }
        Ok(())
    }
}
