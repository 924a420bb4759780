//! What links and addresses the node has.

use crate::{
    attachment::Attachment,
    config,
    endpoint::{nic_mark, settle_nic},
    error::chain,
    netlink::Link,
    node::{
        Error, Node, Parent,
        add::is_alive,
        devices,
        parents::{
            self,
            vlan::{self, Ensured},
        },
    },
};

impl Node {
    /// Reads parents and addresses.
    pub(in crate::node) async fn observe(&mut self) -> Result<(), Error> {
        let links = self.links().await?;
        let addresses = self.netlink.addresses().await?;
        let found = parents::find(&self.config.parents, &links);
        self.recover_nics(&links).await;
        let kept = |parent: &&config::Parent| parent.attachment != Attachment::Exclusive;
        for parent in self.config.parents.iter().filter(kept) {
            let had = self.state.parents.contains_key(&parent.name);
            match (had, found.get(&parent.name)) {
                (true, None) => tracing::error!(parent = %parent.name, "the parent is gone"),
                (false, Some(Parent { link, .. })) => {
                    tracing::info!(parent = %parent.name, device = link.name, "the parent is there");
                }
                _ => {}
            }
        }
        self.state.host = parents::host_addresses(&addresses, &found);
        self.state.own = parents::own_addresses(&addresses, &found);
        self.state.nics = parents::nics(&self.config.parents, &links, &addresses);
        self.state.parents = found;
        self.state.devices = devices::find(&self.state, &links);
        self.warn_of_conflicts();
        Ok(())
    }

    /// Makes NICs what they were whose pods are gone, with their namespaces.
    async fn recover_nics(&self, links: &[Link]) {
        let lost = self.state.endpoints().filter(|record| record.nic.is_some());
        for record in lost {
            let mark = nic_mark(record);
            let back = links.iter().any(|link| link.alias.as_ref() == Some(&mark));
            if !back || is_alive(record) {
                continue;
            }
            let endpoint = &record.spec.name;
            match settle_nic(record, &self.netlink).await {
                Ok(settled) => tracing::info!(%endpoint, settled, "its NIC is back on the node"),
                Err(error) => {
                    tracing::warn!(%endpoint, error = chain(&error), "its NIC is not what it was");
                }
            }
        }
    }

    /// All links; VLANs that are parents and missing are made first.
    async fn links(&mut self) -> Result<Vec<Link>, Error> {
        let Ensured { links, made, errors } =
            vlan::ensure(&self.config.parents, &self.netlink).await?;
        for error in errors {
            tracing::error!(error = chain(&error), "a VLAN is missing");
        }
        // It goes with the device that it is on, which is that device's affair.
        let still = |index: &u32| links.iter().any(|link| link.index == *index);
        let before = made.iter().filter_map(|name| self.state.parents.get(name)?.link.lower);
        let removed = before.filter(still).count();
        self.count_repairs("parent", removed as u64);
        Ok(links)
    }

    fn warn_of_conflicts(&self) {
        for address in &self.state.host {
            if let Some(owner) = self.state.owner(*address) {
                tracing::error!(%address, endpoint = %owner, "the node has an endpoint's address");
            }
        }
    }
}
