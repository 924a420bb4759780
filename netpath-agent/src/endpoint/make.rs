//! Making a pod's interface, at once or in two halves, and putting it right.

use std::time::Instant;

use ipnet::IpNet;
use nix::net::if_::if_nametoindex;

use super::{
    Child, Error, Wiring, compare, nic,
    remove::{LEAVING, RETRY},
};
use crate::{
    netlink::{self, Namespace, Netlink, Visit},
    pod::Mismatch,
};

impl Wiring {
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
