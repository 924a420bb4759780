//! Creating and removing a pod's interface.

use std::{
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ipnet::{IpNet, Ipv6Net};
use netpath_common::Mac;
use nix::net::if_::if_nametoindex;

use super::{
    Child, Error, Nic, Record, alone::Alone, compare, device::Device, nic, nic_mark, settle_nic,
};
use crate::{
    netlink::{self, Link, Namespace, Netlink, Route, Visit},
    pod::{Mismatch, PodRoute},
};

/// How long a namespace that was deleted may keep its pod's addresses and its NIC: the kernel takes it
/// apart when it finds the time, and ipvlan lets only one of a parent's children have an address.
const LEAVING: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

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

    /// Its routes, the default ones among them.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Makes the interface. What was done is undone if a step fails.
    pub async fn make(self) -> Result<(), Error> {
        let namespace = self.open()?;
        namespace
            .visit(async move |visit| {
                for wiring in self.parts() {
                    wiring.build(&visit).await?;
                }
                Ok(())
            })
            .await?
    }

    /// The first half of it: the interface has its addresses, and is down, so that it neither sends
    /// nor answers.
    pub async fn prepare(self) -> Result<(), Error> {
        let namespace = self.open()?;
        namespace
            .visit(async move |visit| {
                for wiring in self.parts() {
                    wiring.create(&visit).await?;
                }
                Ok(())
            })
            .await?
    }

    /// The second half.
    pub async fn raise(self) -> Result<(), Error> {
        let namespace = self.open()?;
        namespace
            .visit(async move |Visit { there, .. }| {
                for wiring in self.parts() {
                    let index = if_nametoindex(wiring.interface.as_str())
                        .map_err(|_| Error::Vanished(wiring.interface.clone()))?;
                    wiring.start(&there, index).await?;
                }
                Ok(())
            })
            .await?
    }

    /// What is not as it should be.
    pub async fn inspect(self) -> Result<Vec<Mismatch>, Error> {
        let namespace = self.open()?;
        namespace.visit(async move |visit| compare::inspect(&self, &visit).await).await?
    }

    /// Puts right what is not as it should be, and tells what that was.
    pub async fn repair(self) -> Result<Vec<Mismatch>, Error> {
        let namespace = self.open()?;
        namespace.visit(async move |visit| compare::repair(&self, &visit).await).await?
    }

    /// Its interfaces. What one that fails leaves of the others is undone with the endpoint.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Self> {
        iter::once(self).chain(self.beside.as_deref())
    }

    fn open(&self) -> Result<Namespace, Error> {
        let namespace = Namespace::open(&self.netns)?;
        if namespace.is_own()? {
            return Err(Error::OwnNamespace(self.netns.clone()));
        }
        if self.namespace.is_some() && self.namespace != Some(namespace.number()?) {
            return Err(Error::Replaced(self.netns.clone()));
        }
        Ok(namespace)
    }

    /// Both halves, from inside the namespace.
    pub(super) async fn build(&self, visit: &Visit) -> Result<(), Error> {
        let index = self.create(visit).await?;
        let started = self.start(&visit.there, index).await;
        self.undo(&visit.there, index, started).await
    }

    /// Makes the interface, and tells its index.
    async fn create(&self, visit: &Visit) -> Result<u32, Error> {
        if if_nametoindex(self.interface.as_str()).is_ok() {
            return Err(self.exists());
        }
        let parent = (self.parent, self.mtu.unwrap_or(self.parent_mtu));
        let names = (self.draft.as_str(), self.alias.as_str());
        let created = self.child.create(&visit.home, parent, names, &visit.namespace).await;
        created.map_err(|error| match error {
            Error::Netlink(error) => self.refused(error),
            error => error,
        })?;
        let index =
            if_nametoindex(self.draft.as_str()).map_err(|_| Error::Vanished(self.draft.clone()))?;
        let furnished = self.furnish(visit, index).await;
        self.undo(&visit.there, index, furnished).await.map(|()| index)
    }

    /// Removes the interface if a step failed.
    async fn undo(
        &self,
        there: &Netlink,
        index: u32,
        done: Result<(), Error>,
    ) -> Result<(), Error> {
        if done.is_err()
            && let Err(undo) = self.child.remove(there, index).await
        {
            tracing::warn!(interface = self.interface, error = %undo, "could not be undone");
        }
        done
    }

    async fn furnish(&self, visit: &Visit, index: u32) -> Result<(), Error> {
        let there = &visit.there;
        if let Some(device) = &self.device {
            device.ensure(&visit.home).await?;
        }
        there
            .introduce(index, &self.interface, &self.alias, self.mtu)
            .await
            .map_err(|error| self.refused(error))?;
        for address in &self.addresses {
            self.add_address(there, index, *address).await?;
        }
        Ok(())
    }

    async fn start(&self, there: &Netlink, index: u32) -> Result<(), Error> {
        if let Child::Nic(_) = self.child {
            nic::announce(&self.interface);
        }
        there.set_up(index).await?;
        for (address, mac) in &self.neighbours {
            there.set_neighbour(index, *address, *mac).await?;
        }
        for route in &self.routes {
            there.add_route(index, route).await?;
        }
        Ok(())
    }

    pub(super) async fn add_address(
        &self,
        there: &Netlink,
        index: u32,
        address: IpNet,
    ) -> Result<(), Error> {
        let (start, mut enabled) = (Instant::now(), false);
        loop {
            let Err(error) = there.add_address(index, address).await else { return Ok(()) };
            match error.errno() {
                // Container runtimes switch IPv6 off in namespaces that they take for IPv4 only.
                Some(nix::libc::EACCES) if address.addr().is_ipv6() && !enabled => {
                    self.enable_ipv6()?;
                    enabled = true;
                }
                Some(nix::libc::EADDRINUSE) if start.elapsed() < LEAVING => {
                    tokio::time::sleep(RETRY).await;
                }
                Some(nix::libc::EADDRINUSE) => {
                    return Err(Error::AddressHeld { address: address.addr(), source: error });
                }
                _ => return Err(error.into()),
            }
        }
    }

    fn enable_ipv6(&self) -> Result<(), Error> {
        let file = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.interface);
        std::fs::write(file, "0").map_err(|source| Error::Ipv6 {
            interface: self.interface.clone(),
            netns: self.netns.clone(),
            source,
        })
    }

    fn refused(&self, error: netlink::Error) -> Error {
        match error.errno() {
            Some(nix::libc::EBUSY) => Error::ParentBusy { kind: self.child.name(), source: error },
            Some(nix::libc::EOPNOTSUPP) => Error::NoKind { kind: self.child.name(), source: error },
            Some(nix::libc::EEXIST) => self.exists(),
            _ => error.into(),
        }
    }

    fn exists(&self) -> Error {
        Error::InterfaceExists { interface: self.interface.clone(), netns: self.netns.clone() }
    }
}

/// Removes the interface of an endpoint; a NIC of its own goes back. An interface or a namespace that
/// is gone is no error.
pub async fn unwire(record: &Record) -> Result<(), Error> {
    take_out(record).await?;
    let Some(nic) = &record.nic else { return Ok(()) };
    let (home, start) = (Netlink::connect()?, Instant::now());
    // With its namespace it comes when the kernel finds the time.
    while !settle_nic(record, &home).await? && home.link_by_name(&nic.name).await?.is_none() {
        if start.elapsed() > LEAVING {
            tracing::warn!(nic = nic.name, "it did not come back; it may be unplugged");
            break;
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}

async fn take_out(record: &Record) -> Result<(), Error> {
    let Some(namespace) = open(&record.spec.netns, record.namespace)? else { return Ok(()) };
    let (alias, draft, kind) = (alias(record), draft(record), record.attachment.kind());
    let (nic, mark) = (record.nic.clone(), nic_mark(record));
    namespace
        .visit(async move |Visit { there, .. }| {
            if let Some(nic) = &nic {
                let links = there.links().await?;
                let marked = links.iter().find(|link| link.alias.as_ref() == Some(&mark));
                if let Some(link) = marked {
                    nic.leave(&there, link.index).await?;
                }
            }
            // Its end of a veth pair takes the node's with it. A killed agent may have left it unnamed.
            let ours = |link: &Link| link.alias.as_ref() == Some(&alias) || link.name == draft;
            for link in there.links().await? {
                if link.kind == kind && ours(&link) {
                    there.delete_link(link.index).await?;
                }
            }
            Ok(())
        })
        .await?
}

/// The namespace, if it is still there and still the same.
fn open(path: &Path, number: Option<u32>) -> Result<Option<Namespace>, Error> {
    match Namespace::open(path) {
        Ok(namespace) => {
            let same = number.is_none() || number == Some(namespace.number()?);
            Ok(same.then_some(namespace))
        }
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
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
