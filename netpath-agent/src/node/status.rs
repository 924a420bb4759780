//! How the node is doing.

use netpath_common::ABI;

use super::{Error, Node, Parent, entry, parents};
use crate::{
    api::types::{self, Hook, Map, Status, Xdp},
    config::Switching,
    datapath::ParentStatus,
    error::chain,
};

/// A map that is this full, in percent, is worth a warning.
const FULL: u64 = 90;

impl Node {
    /// How the node is doing.
    pub(super) async fn status(&self) -> Result<Status, Error> {
        let kernel = nix::sys::utsname::uname().map_err(|errno| Error::Io {
            action: "ask for the kernel's release",
            source: errno.into(),
        })?;
        let maps: Vec<Map> = self
            .datapath
            .fill()?
            .into_iter()
            .map(|fill| Map {
                name: fill.name.to_owned(),
                used: fill.used.into(),
                capacity: fill.capacity.into(),
            })
            .collect();
        let attached = self.datapath.parents();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: ABI,
            kernel: kernel.release().to_string_lossy().into_owned(),
            pins: self.config.agent.pins.display().to_string(),
            uptime_seconds: self.started.elapsed().as_secs(),
            endpoints: self.state.endpoints().len(),
            routes: self.state.routes().len(),
            services: self.services.len(),
            masquerade: self.show_masquerades(),
            sockets: self.show_sockets(),
            loopback: self.show_loopback(),
            repairs: self.repairs.clone(),
            entry: types::Entry {
                interface: self.entry.name.to_owned(),
                ifindex: self.entry.ifindex,
                mac: self.entry.mac.to_string(),
            },
            parents: self
                .state
                .parents
                .values()
                .map(|parent| {
                    let status = attached.iter().find(|a| a.ifindex == parent.link.index);
                    self.show_parent(parent, status)
                })
                .collect(),
            warnings: self.warnings(&maps).await?,
            maps,
        })
    }

    fn show_parent(&self, parent: &Parent, status: Option<&ParentStatus>) -> types::Parent {
        let Parent { config, link } = parent;
        let (switching, note) = match config.switching {
            Switching::Parent => ("parent", None),
            Switching::Driver => (
                "driver",
                Some("packets between siblings are neither counted nor checked".to_owned()),
            ),
        };
        types::Parent {
            name: config.name.to_string(),
            device: link.name.clone(),
            kind: link.kind.name().to_owned(),
            vlan: config.vlan.clone(),
            ifindex: link.index,
            mac: link.mac.unwrap_or_default().to_string(),
            up: link.up,
            endpoints: self
                .state
                .endpoints()
                .filter(|record| record.spec.parent == config.name)
                .count(),
            switching: switching.to_owned(),
            note,
            hooks: status.map(hooks).unwrap_or_default(),
            xdp: status.map_or_else(
                || Xdp { mode: "off".to_owned(), reason: "not attached".to_owned(), program: None },
                xdp,
            ),
        }
    }

    /// What the operator should know, of these maps as well.
    pub(super) async fn warnings(&self, maps: &[Map]) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        let links = self.netlink.links().await?;
        for parent in &self.config.parents {
            if let Some(problem) = parents::problem(parent, &self.config.parents, &links) {
                warnings.push(format!("parent {}: {problem}", parent.name));
            }
        }
        for address in &self.state.host {
            if let Some(owner) = self.state.owner(*address) {
                warnings
                    .push(format!("{address} is the node's and endpoint {owner}'s; remove one"));
            }
        }
        if let Some(failure) = &self.masquerade.failure {
            warnings.push(format!("pods are not masqueraded: {failure}"));
        }
        if let Some(failure) = &self.datapath.sockets().failure {
            warnings.push(format!("sockets are not translated: {failure}"));
        }
        warnings.extend(self.service_warnings());
        warnings.extend(self.pools.warnings().cloned());
        for Map { name, used, capacity } in maps {
            if is_nearly_full(*used, *capacity) {
                warnings.push(format!("map {name} holds {used} of {capacity}; raise its capacity"));
            }
        }
        if let Some(error) = self.datapath.blind_to_namespaces() {
            warnings.push(format!(
                "a pod with CAP_NET_RAW can send from addresses of its siblings and of the node: {}",
                chain(error)
            ));
        }
        if self.entry.name != entry::NAME {
            warnings.push(format!(
                "the kernel has no dummy devices, so the kernel entry is {}: rules and firewalls of \
                 the node take what pods send there for its own",
                self.entry.name
            ));
        }
        if !entry::forwards_ipv6() {
            warnings.push(
                "the host stack does not forward IPv6, so the kernel path ends at the node; \
                 sysctl -w net.ipv6.conf.all.forwarding=1"
                    .to_owned(),
            );
        }
        Ok(warnings)
    }
}

/// Whether so many entries of a map are worth a warning.
pub(super) const fn is_nearly_full(used: u64, capacity: u64) -> bool {
    used * 100 >= capacity * FULL
}

pub(super) fn hooks(status: &ParentStatus) -> Vec<Hook> {
    status
        .hooks
        .iter()
        .map(|hook| Hook {
            hook: hook.hook.name().to_owned(),
            attached: hook.kind.to_owned(),
            program: hook.program,
            link: hook.link,
        })
        .collect()
}

fn xdp(status: &ParentStatus) -> Xdp {
    Xdp {
        mode: status.xdp.mode.to_owned(),
        reason: status.xdp.reason.clone(),
        program: status.xdp.program,
    }
}
