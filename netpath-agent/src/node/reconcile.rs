//! Making the kernel match the desired state, at any time.

mod mend;
mod observe;

use std::{collections::BTreeMap, time::Duration};

use netpath_common::{Hook, node::FLAG_BLACKHOLES};
use nix::time::{ClockId, clock_gettime};

use super::{
    Error, Node, Parent,
    entry::{self, Entry},
    tables::Changes,
};
use crate::{
    datapath::{Datapath, Filter, LOOPBACK, Lost, ParentSpec},
    error::chain,
    name::{EndpointName, InterfaceName},
    netlink::{Change, Link, Netlink},
};

/// Endpoints that a change of their parents concerns.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Their interfaces may be gone, or have another MTU.
    pub(super) changed: Vec<EndpointName>,
    /// The wire must learn where they are.
    pub(super) seen: Vec<EndpointName>,
}

impl Node {
    /// Compares everything of the node's own with the kernel and puts right what differs.
    pub(super) async fn reconcile(&mut self) -> Result<(), Error> {
        self.expire_addresses().await?;
        self.age_flows()?;
        self.forget_said();
        self.ensure_entry().await?;
        self.observe().await?;
        // Comparing is cheaper than mending, and who waits for a change waits for either.
        if self.services_differ()? {
            self.mend_services()?;
        }
        self.mend_health();
        self.mend_tables()?;
        self.settle_services();
        self.set_node()?;
        self.mend_policy().await?;
        self.attach().await
    }

    /// Acts on a change of links, addresses or hooks, and tells the endpoints whose parent
    /// changed. The tables are compared with what they were before, not with the kernel's: a node's
    /// links change often.
    pub(super) async fn refresh(&mut self, change: &Change) -> Result<Moved, Error> {
        let (parents, host) = (self.state.parents.clone(), self.state.host.clone());
        let (devices, own) = (self.state.devices.clone(), self.state.own.clone());
        self.ensure_entry().await?;
        self.observe().await?;
        // For the kernel, every pod that comes or goes is news of its parent; for us it is none.
        let moved = devices != self.state.devices;
        let renumbered = host != self.state.host || own != self.state.own;
        if parents != self.state.parents || renumbered || moved {
            let mut before = self.state.clone();
            before.parents.clone_from(&parents);
            before.host.clone_from(&host);
            before.own.clone_from(&own);
            before.devices = devices;
            let changes = Changes::between(&before.tables(), &self.state.tables());
            tracing::info!(changes = changes.len(), "links or addresses changed");
            self.apply(&changes)?;
        }
        self.set_node()?;
        if change.policy || moved || parents != self.state.parents || own != self.state.own {
            self.mend_policy().await?;
        }
        if change.hooks || parents != self.state.parents || own != self.state.own {
            self.attach().await?;
        } else if moved {
            self.attach_devices(false).await?;
        }
        let mut moved = self.moved(&parents);
        if host != self.state.host {
            moved.changed.extend(self.exclusive());
        }
        Ok(moved)
    }

    /// The endpoints whose parent is another than before, and those whose parent only looks
    /// different to the wire.
    fn moved(&self, before: &BTreeMap<InterfaceName, Parent>) -> Moved {
        let mut moved = Moved::default();
        for record in self.state.endpoints() {
            let now = self.state.parents.get(&record.spec.parent).map(|parent| &parent.link);
            let before = before.get(&record.spec.parent).map(|parent| &parent.link);
            let children = |link: &Link| (link.index, link.mtu);
            let name = record.spec.name.clone();
            if now.map(children) != before.map(children) {
                moved.changed.push(name);
            } else if now != before {
                moved.seen.push(name);
            }
        }
        moved
    }

    /// Puts right what sends no event when it is lost: entries of maps, pins, and links of tcx.
    ///
    /// Returns the processor time that the comparison took: whoever calls it again and again should
    /// know.
    pub(super) async fn look(&mut self) -> Result<Duration, Error> {
        let begin = processor_time();
        self.set_node()?;
        self.look_at_masquerade();
        let (services, differ) = (self.services_differ()?, self.tables_differ()?);
        let cost = processor_time().saturating_sub(begin);
        if services {
            self.mend_services()?;
        }
        if differ {
            self.mend_tables()?;
        }
        let pins = self.datapath.restore_pins()?;
        if !pins.is_empty() {
            tracing::warn!(maps = ?pins, "pinned again");
            self.count_repairs("map pin", pins.len() as u64);
        }
        let mut lost = false;
        let loopback = self.state.hooks_loopback().then_some(LOOPBACK);
        let parents = self.state.parents.values().map(|parent| parent.link.index);
        for index in parents.chain(loopback) {
            lost |=
                !self.datapath.knows_parent(index) || !self.missing_hooks(index).await?.is_empty();
        }
        let mut devices = self.state.devices.values();
        lost |= devices.any(|ifindex| !self.datapath.missing_device_links(*ifindex).is_empty());
        if lost {
            self.attach().await?;
        } else if !self.datapath.missing_sockets().is_empty() {
            self.attach_sockets();
        }
        Ok(cost)
    }

    /// The hooks that a parent had, and has no more.
    pub(super) async fn missing_hooks(&self, ifindex: u32) -> Result<Vec<&'static str>, Error> {
        let mut missing = self.datapath.missing_links(ifindex);
        for hook in self.datapath.filters(ifindex) {
            let Filter { hook, priority, handle } = hook;
            if !self.netlink.has_filter(ifindex, hook == Hook::Egress, priority, handle).await? {
                missing.push(hook.name());
            }
        }
        Ok(missing)
    }

    async fn ensure_entry(&mut self) -> Result<(), Error> {
        let (entry, repaired) = entry::ensure(&self.netlink).await?;
        self.entry = entry;
        for what in &repaired {
            tracing::warn!(what, "repaired");
        }
        self.count_repairs("entry", repaired.len() as u64);
        Ok(())
    }

    /// The endpoints that have a NIC of their own.
    pub(super) fn exclusive(&self) -> impl Iterator<Item = EndpointName> {
        let with_nic = self.state.endpoints().filter(|record| record.nic.is_some());
        with_nic.map(|record| record.spec.name.clone())
    }

    /// Attaches the programs to every parent, and lets go of those that are no longer wanted: of
    /// this run, and of predecessors. A parent that fails does not keep the others from being
    /// attached.
    pub(super) async fn attach(&mut self) -> Result<(), Error> {
        let Self { config, state, datapath, netlink, .. } = self;
        let (mut entries, mut again) = (0, 0);
        let mut failed: Option<Error> = None;
        for parent in state.parents.values() {
            let name = &parent.config.name;
            match datapath.attach(&ParentSpec::of(config, state, parent)) {
                Ok(Lost { entry, hooks }) => {
                    entries += u64::from(entry);
                    again += hooks.len() as u64;
                    if entry {
                        tracing::warn!(parent = %name, "its map entry was lost");
                    }
                    for hook in hooks {
                        tracing::warn!(parent = %name, hook = hook.name(), "attached again");
                    }
                }
                Err(error) => {
                    tracing::warn!(parent = %name, error = chain(&error), "not attached");
                    failed = Some(error.into());
                }
            }
        }
        let loopback = state.hooks_loopback();
        let wanted = |ifindex| {
            state.parents.values().any(|parent| parent.link.index == ifindex)
                || (ifindex == LOOPBACK && loopback)
        };
        for ifindex in datapath.known_parents()?.into_iter().filter(|ifindex| !wanted(*ifindex)) {
            if let Err(error) = let_go(datapath, netlink, ifindex).await {
                tracing::warn!(ifindex, error = chain(&error), "not detached");
                failed = Some(error);
            }
        }
        self.count_repairs("map entry", entries);
        self.count_repairs("hook", again);
        if loopback && let Err(error) = self.attach_loopback() {
            tracing::warn!(error = chain(&error), "the loopback device is not attached");
            failed = Some(error);
        }
        self.attach_sockets();
        let devices = self.attach_devices(true).await;
        failed.map_or(devices, Err)
    }

    /// Writes what every program reads of the node.
    pub(super) fn set_node(&mut self) -> Result<(), Error> {
        let flags = if self.state.has_blackholes() { FLAG_BLACKHOLES } else { 0 };
        let node_ports = self.state.services.node_port_range();
        let Entry { name: _, ifindex, mac } = self.entry;
        let node = netpath_common::Node { entry: ifindex, entry_mac: mac, flags, node_ports };
        Ok(self.datapath.set_node(&node)?)
    }
}

/// Takes the programs off a parent, and the qdisc that they needed.
pub(super) async fn let_go(
    datapath: &mut Datapath,
    netlink: &Netlink,
    ifindex: u32,
) -> Result<(), Error> {
    if datapath.detach(ifindex)? && netlink.link_by_index(ifindex).await?.is_some() {
        netlink.delete_idle_clsact(ifindex).await?;
    }
    Ok(())
}

/// Processor time of this thread, which is the agent's only one for what waits for nothing.
fn processor_time() -> Duration {
    // It can not fail for this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
