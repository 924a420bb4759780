//! The node's ends of endpoints' veth pairs.

use std::collections::{BTreeMap, HashMap};

use netpath_common::Hook;

use super::{Error, Node, State};
use crate::{
    datapath::Filter,
    endpoint::{Record, device_name, is_device},
    error::chain,
    name::EndpointName,
    netlink::Link,
};

/// The devices that are there.
pub(super) fn find(state: &State, links: &[Link]) -> BTreeMap<EndpointName, u32> {
    let routed = state.endpoints().filter(|it| it.attachment.has_device());
    let links: HashMap<&str, &Link> = links.iter().map(|link| (&*link.name, link)).collect();
    let found = routed.filter_map(|record| {
        let link = links.get(&*device_name(record)).filter(|link| is_device(record, link))?;
        Some((record.spec.name.clone(), link.index))
    });
    found.collect()
}

impl Node {
    /// Takes in the device of an endpoint that was just made, before the endpoint can send.
    pub(super) async fn adopt_device(&mut self, record: &Record) -> Result<(), Error> {
        let name = &record.spec.name;
        let link = self.netlink.link_by_name(&device_name(record)).await?;
        let link = link.filter(|link| is_device(record, link));
        let link = link.ok_or_else(|| Error::NoDevice(name.clone()))?;
        self.datapath.attach_device(link.index, &link.name)?;
        self.state.devices.insert(name.clone(), link.index);
        Ok(())
    }

    /// Attaches the programs to devices that have none, as far as is known or, where asked, as the
    /// kernel says. One that fails does not keep the others from being attached.
    pub(super) async fn attach_devices(&mut self, look: bool) -> Result<(), Error> {
        let devices: Vec<_> = self.state.devices.values().copied().collect();
        let (mut again, mut failed) = (0, None);
        for ifindex in &devices {
            if self.has_device_hooks(*ifindex, look).await? {
                continue;
            }
            let Some(link) = self.netlink.link_by_index(*ifindex).await? else { continue };
            match self.datapath.attach_device(*ifindex, &link.name) {
                Ok(hooks) => {
                    again += hooks.len() as u64;
                    for hook in hooks {
                        tracing::warn!(device = link.name, hook = hook.name(), "attached again");
                    }
                }
                Err(error) => {
                    tracing::warn!(device = link.name, error = chain(&error), "not attached");
                    failed = Some(error);
                }
            }
        }
        self.datapath.forget_devices(|ifindex| devices.contains(&ifindex))?;
        self.count_repairs("hook", again);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn has_device_hooks(&self, ifindex: u32, look: bool) -> Result<bool, Error> {
        let Some(hooks) = self.datapath.device(ifindex) else { return Ok(false) };
        if !look {
            return Ok(true);
        }
        if !self.datapath.missing_device_links(ifindex).is_empty() {
            return Ok(false);
        }
        for status in hooks.iter().filter(|status| status.link.is_none()) {
            let Filter { hook, priority, handle } = Filter::of(status.hook);
            if !self.netlink.has_filter(ifindex, hook == Hook::ToEndpoint, priority, handle).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
