//! Which pod is meant when the kernel says that something changed inside one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{Shared, add::turn, neighbours, repair};
use crate::{endpoint::Record, error::chain, name::EndpointName, netlink::Namespace};

/// How long changes inside a pod may go on before it is looked at: they come in bursts, and a pod
/// that fights its repair costs no more than this allows.
const SETTLE: Duration = Duration::from_millis(200);

/// The pods' namespaces by their numbers here.
#[derive(Debug, Default)]
pub(super) struct Watch {
    names: HashMap<i32, BTreeSet<EndpointName>>,
    numbers: HashMap<EndpointName, i32>,
    /// Those that will be looked at, and whether they are to be announced then.
    pending: HashMap<EndpointName, bool>,
    /// Those that could not be repaired.
    failed: BTreeSet<EndpointName>,
}

impl Watch {
    /// Forgets an endpoint.
    pub(super) fn forget(&mut self, name: &EndpointName) {
        self.failed.remove(name);
        let Some(number) = self.numbers.remove(name) else { return };
        if let Some(names) = self.names.get_mut(&number) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&number);
            }
        }
    }

    /// Whether an endpoint is to be looked at without an event: because none would be heard, or
    /// because it could not be repaired.
    pub(super) fn owes(&self, name: &EndpointName) -> bool {
        self.failed.contains(name) || !self.numbers.contains_key(name)
    }

    /// Hears an endpoint's namespace by its number.
    fn hear(&mut self, number: i32, name: EndpointName) {
        self.names.entry(number).or_default().insert(name.clone());
        self.numbers.insert(name, number);
    }

    /// The endpoints in the namespaces of these numbers.
    pub(super) fn find(&self, numbers: &BTreeSet<i32>) -> BTreeSet<EndpointName> {
        numbers.iter().filter_map(|number| self.names.get(number)).flatten().cloned().collect()
    }
}

/// Gives an endpoint's namespace a number, so that its events are heard.
pub(super) async fn start(node: Shared, record: Record) {
    let netlink = node.lock().await.netlink.clone();
    let number = match Namespace::open(&record.spec.netns) {
        Ok(namespace) => netlink.number(&namespace).await,
        Err(error) => Err(error),
    };
    let mut node = node.lock().await;
    let name = record.spec.name;
    match number {
        // It may have gone in the meantime.
        Ok(number) if node.state.endpoint(&name).is_some() => {
            node.watch.hear(number, name);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(
            endpoint = %name,
            error = chain(&error),
            "what changes inside it will only be found by the timer"
        ),
    }
}

/// Does the same for all endpoints, and looks at each: a lot may have happened without an agent.
pub(super) async fn start_all(node: Shared) {
    let records: Vec<Record> = node.lock().await.state.endpoints().cloned().collect();
    for record in records {
        let name = record.spec.name.clone();
        start(Arc::clone(&node), record).await;
        look_at(&node, [name]).await;
    }
}

/// Looks at all endpoints.
pub(super) async fn look_at_all(node: &Shared) {
    let names: Vec<EndpointName> =
        node.lock().await.state.endpoints().map(|record| record.spec.name.clone()).collect();
    look_at(node, names).await;
}

/// Has endpoints with a NIC of their own follow one that came or went, if only the node leads to it.
pub(super) async fn tell_exclusive(node: &Shared, record: &Record) {
    let told: Vec<EndpointName> = {
        let node = node.lock().await;
        if !node.state.is_carried(record) {
            return;
        }
        node.exclusive().collect()
    };
    look_at(node, told).await;
}

/// Looks at endpoints soon, each one in its turn.
pub(super) async fn look_at(node: &Shared, names: impl IntoIterator<Item = EndpointName>) {
    for name in names {
        look_soon(node, name, false).await;
    }
}

/// The same for endpoints whose parent changed: the wire must learn where they are now.
pub(super) async fn move_on(node: &Shared, names: impl IntoIterator<Item = EndpointName>) {
    for name in names {
        look_soon(node, name, true).await;
    }
}

async fn look_soon(node: &Shared, name: EndpointName, announce: bool) {
    let pending = &mut node.lock().await.watch.pending;
    if let Some(announced) = pending.get_mut(&name) {
        *announced |= announce;
        return;
    }
    pending.insert(name.clone(), announce);
    tokio::spawn(look(Arc::clone(node), name));
}

async fn look(node: Shared, name: EndpointName) {
    tokio::time::sleep(SETTLE).await;
    let _turn = turn(&node, &name).await;
    let announce = node.lock().await.watch.pending.remove(&name) == Some(true);
    match repair::repair(&node, &name).await {
        Ok(repaired) => {
            node.lock().await.watch.failed.remove(&name);
            if repaired || announce {
                tokio::spawn(neighbours::tell(node, name));
            }
        }
        Err(error) => {
            tracing::warn!(endpoint = %name, error = chain(&error), "can not be repaired");
            node.lock().await.watch.failed.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_all_endpoints_of_its_namespace() {
        let [a, b]: [EndpointName; 2] = ["a", "b"].map(|name| name.parse().expect("name"));
        let mut watch = Watch::default();
        assert!(watch.owes(&a));
        watch.hear(7, a.clone());
        watch.hear(7, b.clone());
        assert!(!watch.owes(&a));
        let numbers = BTreeSet::from([7, 8]);
        assert_eq!(watch.find(&numbers), BTreeSet::from([a.clone(), b.clone()]));
        watch.forget(&a);
        assert_eq!(watch.find(&numbers), BTreeSet::from([b.clone()]));
        watch.forget(&b);
        assert!(watch.names.is_empty() && watch.owes(&b));
    }
}
