//! Whether a pod is what it should be.

use super::{Error, Node, Shared, add::turn, neighbours, pods};
use crate::{
    endpoint::Record,
    error::chain,
    pod::{Mismatch, Pod},
};

/// Compares what the runtime believes with the record, the record with the kernel: inside the pod,
/// in the maps, and at the hooks. Each difference is named.
pub(super) async fn check(node: &Shared, pod: &Pod) -> Result<Vec<Mismatch>, Error> {
    let missing = || Error::NoPod(pod.id.clone());
    let name = pods::name(&pod.id).map_err(|_| missing())?;
    let _turn = turn(node, &name).await;
    let (mut found, wiring, record) = {
        let node = node.lock().await;
        let record = node.state.endpoint(&name).ok_or_else(missing)?;
        let mut found = node.check_result(record, pod);
        found.extend(node.check_maps(record));
        found.extend(node.check_parent_hooks(record).await?);
        found.extend(node.check_way(record).await?);
        (found, node.wiring(record), record.clone())
    };
    let broken = |what: &str, expected: &str, error: &dyn std::error::Error| Mismatch {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: chain(error),
    };
    let wiring = match wiring {
        Ok(wiring) => wiring,
        Err(error) => {
            found.push(broken("parent", "there", &error));
            return Ok(found);
        }
    };
    match wiring.inspect().await {
        Ok(differences) => found.extend(differences),
        Err(error) if error.is_gone() => found.push(broken("netns", "the pod's", &error)),
        Err(error) => return Err(Error::wire(&name)(error)),
    }
    match neighbours::unanswered(node, &record).await {
        Ok(silent) => found.extend(silent.into_iter().map(|address| Mismatch {
            what: format!("neighbour {address}"),
            expected: "answered for".to_owned(),
            found: "no answer".to_owned(),
        })),
        Err(error) => found.push(broken("neighbours", "answered for", &error)),
    }
    Ok(found)
}

impl Node {
    /// What the runtime was told, as far as it says.
    fn check_result(&self, record: &Record, pod: &Pod) -> Vec<Mismatch> {
        let mut list = Vec::new();
        let mut compare = |what: &str, expected: String, found: String| {
            if expected != found {
                list.push(Mismatch { what: what.to_owned(), expected, found });
            }
        };
        let Some(own) = self.show_pod(record) else { return list };
        if !pod.netns.as_os_str().is_empty() {
            let text = |pod: &Pod| pod.netns.display().to_string();
            compare("netns", text(pod), text(&own));
        }
        if !pod.mac.is_empty() {
            compare("mac", pod.mac.to_lowercase(), own.mac);
        }
        if pod.mtu != 0 {
            compare("mtu", pod.mtu.to_string(), own.mtu.to_string());
        }
        for given in &pod.addresses {
            if !own.addresses.iter().any(|own| own.address == given.address) {
                let what = format!("address {}", given.address);
                compare(&what, "in the result".to_owned(), "not the pod's".to_owned());
            }
        }
        // Other plugins of the chain have routes in the result as well, which only they know.
        for own in &own.routes {
            let told = pod.routes.iter().any(|route| {
                route.destination == own.destination
                    && (route.gateway.is_none() || route.gateway == own.gateway)
            });
            if !told {
                let way = own.gateway.map_or("on the link".to_owned(), |by| format!("by {by}"));
                compare(&format!("route {}", own.destination), way, "not in the result".to_owned());
            }
        }
        list
    }

    fn check_maps(&self, record: &Record) -> Vec<Mismatch> {
        let mut list = Vec::new();
        for address in record.addresses() {
            let expected = self.state.entry(address);
            let found = self.datapath.endpoint(&address.into());
            if expected != found {
                let show = |entry: Option<netpath_common::Endpoint>| {
                    entry.map_or_else(|| "none".to_owned(), |entry| format!("{entry:?}"))
                };
                list.push(Mismatch {
                    what: format!("map entry {address}"),
                    expected: show(expected),
                    found: show(found),
                });
            }
        }
        list
    }

    async fn check_parent_hooks(&self, record: &Record) -> Result<Vec<Mismatch>, Error> {
        let Some(parent) = self.state.parents.get(&record.spec.parent) else {
            return Ok(Vec::new());
        };
        let mismatch = |hook: &'static str| Mismatch {
            what: format!("hook {hook} of {}", parent.link.name),
            expected: "netpath's program".to_owned(),
            found: "none".to_owned(),
        };
        Ok(self.missing_hooks(parent.link.index).await?.into_iter().map(mismatch).collect())
    }
}
