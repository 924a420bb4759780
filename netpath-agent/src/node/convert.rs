//! From what is configured and found to what the datapath wants.

use netpath_common::parent::SUBNETS;

use super::{Parent, State, policy};
use crate::{
    config::Config,
    datapath::{Options, ParentSpec, Sockets},
    netlink::LinkKind,
};

impl From<&Config> for Options {
    fn from(config: &Config) -> Self {
        Self {
            pins: config.agent.pins.clone(),
            capacity: config.capacity.clone(),
            attach: config.datapath.attach,
            packets: config.services.at_packets(),
            sockets: match &config.services.cgroup {
                _ if !config.services.at_sockets() => Sockets::Off,
                None => Sockets::Everybody,
                Some(cgroup) => Sockets::Of(cgroup.clone()),
            },
        }
    }
}

impl ParentSpec {
    /// A parent that was found. Where it has a table of its own, the programs know what is in it, as far
    /// as they have room.
    pub(super) fn of(all: &Config, state: &State, parent: &Parent) -> Self {
        let Parent { config, link } = parent;
        let known = policy::has_table(all, &config.name) && config.subnets.len() <= SUBNETS;
        let (subnets, routers) = if known {
            (config.subnets.clone(), config.routers.clone())
        } else {
            (Vec::new(), Vec::new())
        };
        Self {
            ifindex: link.index,
            name: link.name.clone(),
            mac: link.mac.unwrap_or_default(),
            switching: config.switching,
            xdp: config.xdp,
            veth: link.kind == LinkKind::Veth,
            subnets,
            routers,
            hiding: state.hiding(&config.name),
        }
    }
}
