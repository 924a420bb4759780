//! Leaving the node as it was.

use std::path::Path;

use super::{
    Error, entry, masquerade,
    parents::{self, vlan},
    policy,
};
use crate::{
    config::Config,
    datapath::{Datapath, Removed},
    endpoint::{Record, unwire},
    netlink::{self, Netlink},
    store::{Lock, Store},
};

/// What was removed, and what was not.
#[derive(Debug, Default)]
pub struct Cleanup {
    /// What was removed, for people.
    pub removed: Vec<String>,
    /// Everything that failed.
    pub errors: Vec<Error>,
}

impl Cleanup {
    fn note<T>(
        &mut self,
        result: Result<T, impl Into<Error>>,
        what: impl FnOnce(T) -> Option<String>,
    ) {
        match result {
            Ok(value) => self.removed.extend(what(value)),
            Err(error) => self.errors.push(error.into()),
        }
    }
}

/// Removes everything that the agent brought to the node: pods' interfaces, hooks, pins, the
/// kernel entry, the store. It refuses while an agent runs, and goes on past what fails.
pub async fn cleanup(config: &Config) -> Result<Cleanup, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let lock = Lock::take(&config.agent.state)?;
    let netlink = Netlink::connect()?;
    let mut cleanup = Cleanup::default();
    let records = Store::open(&lock)?.endpoints()?;
    for record in &records {
        let name = &record.spec.name;
        let unwired = unwire(record).await.map_err(Error::wire(name));
        cleanup.note(unwired, |()| Some(format!("endpoint {name}")));
    }
    let Cleanup { removed, errors } = dataplane(&config.agent.pins, &netlink).await;
    cleanup.removed.extend(removed);
    cleanup.errors.extend(errors);
    // Last: as long as the programs answered for the endpoints, the node could learn them anew.
    match netlink.links().await {
        Ok(links) => {
            let parents = parents::find(&config.parents, &links);
            for record in &records {
                let Some(parent) = parents.get(&record.spec.parent) else { continue };
                let forgotten = forget_neighbours(record, parent.link.index, &netlink).await;
                cleanup.note(forgotten, |()| None);
            }
        }
        Err(error) => cleanup.errors.push(error.into()),
    }
    // What could not be removed is found again by what the store knows.
    if cleanup.errors.is_empty() {
        let state = &config.agent.state;
        cleanup.note(Store::remove(state), |()| Some(format!("store {}", state.display())));
    }
    // Left by an agent that was killed; one that runs has the lock.
    let _ = std::fs::remove_file(&config.agent.socket);
    Ok(cleanup)
}

/// Removes hooks, pins, the kernel entry and VLANs.
pub(super) async fn dataplane(pins: &Path, netlink: &Netlink) -> Cleanup {
    let mut cleanup = Cleanup::default();
    let Removed { parents, qdiscs, errors } = Datapath::cleanup(pins);
    cleanup.removed.extend(parents.into_iter().map(|parent| format!("hooks of {parent}")));
    cleanup.errors.extend(errors.into_iter().map(Error::from));
    for parent in qdiscs {
        let removed = qdisc(&parent, netlink).await;
        cleanup.note(removed, |gone| gone.then(|| format!("clsact qdisc of {parent}")));
    }
    cleanup.note(policy::remove(netlink).await, |count| {
        (count > 0).then(|| format!("{count} rules and routes of the host stack"))
    });
    cleanup.note(masquerade::remove(), |removed| {
        removed.then(|| "masquerading table inet netpath".to_owned())
    });
    cleanup.note(entry::remove(netlink).await, |entry| {
        entry.map(|name| format!("kernel entry {name}"))
    });
    cleanup.note(vlan::remove(netlink).await, |removed| {
        (!removed.is_empty()).then(|| format!("VLAN {}", removed.join(", ")))
    });
    cleanup
}

async fn forget_neighbours(
    record: &Record,
    parent: u32,
    netlink: &Netlink,
) -> Result<(), netlink::Error> {
    for address in record.addresses() {
        netlink.forget_neighbour(parent, address).await?;
    }
    Ok(())
}

async fn qdisc(parent: &str, netlink: &Netlink) -> Result<bool, netlink::Error> {
    match netlink.link_by_name(parent).await? {
        Some(link) => netlink.delete_idle_clsact(link.index).await,
        None => Ok(false),
    }
}
