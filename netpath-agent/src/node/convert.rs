//! From what is configured and found to what the datapath wants.

use super::Parent;
use crate::{
    config::Config,
    datapath::{Options, ParentSpec},
    netlink::LinkKind,
};

impl From<&Config> for Options {
    fn from(config: &Config) -> Self {
        Self {
            pins: config.agent.pins.clone(),
            capacity: config.capacity.clone(),
            attach: config.datapath.attach,
        }
    }
}

impl From<&Parent> for ParentSpec {
    fn from(parent: &Parent) -> Self {
        let Parent { config, link } = parent;
        Self {
            ifindex: link.index,
            name: link.name.clone(),
            mac: link.mac.unwrap_or_default(),
            switching: config.switching,
            xdp: config.xdp,
            veth: link.kind == LinkKind::Veth,
        }
    }
}
