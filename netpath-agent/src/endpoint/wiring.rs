//! What there should be inside a pod's namespace.

use std::{
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv6Net};
use netpath_common::Mac;

use super::{Child, Nic, Record, alone::Alone, device::Device, nic_mark};
use crate::{netlink::Route, pod::PodRoute};

/// What the interface beside a NIC of the pod's own is called.
const BESIDE: &str = "node0";

/// What there should be inside a pod's namespace, all of it known before the first step is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    pub(super) netns: PathBuf,
    /// The number of the namespace, if it is known.
    pub(super) namespace: Option<u32>,
    pub(super) interface: String,
    /// What the interface is called until it has its name: unique on the node, and not what anybody
    /// else would choose.
    pub(super) draft: String,
    /// The mark that tells our interfaces from others'.
    pub(super) alias: String,
    pub(super) parent: u32,
    pub(super) parent_mtu: u32,
    pub(super) child: Child,
    pub(super) mtu: Option<u32>,
    pub(super) addresses: Vec<IpNet>,
    pub(super) routes: Vec<Route>,
    /// Neighbours that it need not ask for.
    pub(super) neighbours: Vec<(IpAddr, Mac)>,
    /// The node's end of a veth pair.
    pub(super) device: Option<Device>,
    /// Its routes follow the node's: what is not among them goes.
    pub(super) follows: bool,
    /// The way to the node beside a NIC of its own.
    pub(super) beside: Option<Box<Self>>,
}

impl Wiring {
    /// What there should be for an endpoint on a parent of this index and MTU.
    #[must_use]
    pub fn new(record: &Record, (parent, parent_mtu): (u32, u32), child: Child) -> Self {
        let spec = &record.spec;
        let mtu = spec.mtu.unwrap_or(parent_mtu);
        let (own, routes, neighbours, device) = match child {
            Child::Veth { mac } => {
                let Alone { addresses, routes, neighbours } = Alone::of(record);
                (addresses, routes, neighbours, Some(Device::new(record, mtu, mac)))
            }
            _ => (spec.addresses.clone(), routes(record), Vec::new(), None),
        };
        Self {
            netns: spec.netns.clone(),
            namespace: record.namespace,
            interface: spec.interface.to_string(),
            draft: draft(record),
            alias: alias(record),
            parent,
            parent_mtu,
            child,
            mtu: spec.mtu,
            addresses: own.into_iter().chain(link_local(record)).collect(),
            routes,
            neighbours,
            device,
            follows: false,
            beside: None,
        }
    }

    /// What there should be for an endpoint with a NIC of its own, to which the node is the way to
    /// these prefixes.
    #[must_use]
    pub fn exclusive(record: &Record, nic: &Nic, mac: Mac, prefixes: &[IpNet]) -> Self {
        let mtu = record.spec.mtu.unwrap_or(nic.mtu);
        let own = Self::new(record, (0, nic.mtu), Child::Nic(nic.clone()));
        let Alone { addresses, routes, neighbours } = Alone::beside(record, prefixes);
        let beside = Self {
            interface: BESIDE.to_owned(),
            child: Child::Veth { mac },
            addresses: addresses.into_iter().chain(link_local(record)).collect(),
            routes,
            neighbours,
            device: Some(Device::new(record, mtu, mac)),
            follows: true,
            ..own.clone()
        };
        Self {
            draft: format!("nic-{:x}", record.slot),
            alias: nic_mark(record),
            beside: Some(Box::new(beside)),
            ..own
        }
    }

    /// Its interfaces. What one that fails leaves of the others is undone with the endpoint.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Self> {
        iter::once(self).chain(self.beside.as_deref())
    }

    /// Its routes, the default ones among them.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

/// Default routes by the gateways, and those that were asked for, which go before them.
pub(super) fn routes(record: &Record) -> Vec<Route> {
    let attached = record.attached.as_ref();
    let mut routes: Vec<Route> = attached
        .into_iter()
        .flat_map(|attached| {
            let gateway = |family: IpAddr| {
                let gateways = attached.addresses.iter().filter_map(|given| given.gateway);
                gateways.into_iter().find(|gateway| gateway.is_ipv4() == family.is_ipv4())
            };
            attached.spec.routes.iter().map(move |route| {
                let PodRoute { destination, gateway: by, mtu, priority } = *route;
                let gateway = by.or_else(|| gateway(destination.addr()));
                Route { destination, gateway, mtu, priority: priority.unwrap_or(0) }
            })
        })
        .collect();
    for gateway in &record.spec.gateways {
        let any: IpAddr = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let destination = IpNet::new_assert(any, 0);
        if !routes.iter().any(|route| route.destination == destination && route.priority == 0) {
            let gateway = Some(*gateway);
            routes.push(Route { destination, gateway, mtu: None, priority: 0 });
        }
    }
    routes
}

/// The link-local address that goes with the others, with its subnet.
fn link_local(record: &Record) -> Option<IpNet> {
    let net = |address| IpNet::V6(Ipv6Net::new(address, 64).unwrap_or(address.into()));
    record.link_local.map(net)
}

pub(super) fn draft(record: &Record) -> String {
    format!("np-{:x}", record.slot)
}

pub(super) fn alias(record: &Record) -> String {
    format!("netpath:{}", record.spec.name)
}
