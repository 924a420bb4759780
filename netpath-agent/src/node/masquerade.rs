//! Masquerading by the host stack: our table of `nf_tables`, kept as it should be.
//!
//! The maps lead what is for destinations outside the VPC to the host stack (`state/masquerade`); a rule
//! there gives it the address of the parent that it leaves by. Sources are sets that endpoints enter before
//! they can send. Connection tracking has the way back; the dataplane has it by its flows.

mod wanted;

use std::{io, net::IpAddr};

use ipnet::IpNet;
use nix::libc;

use self::wanted::{sources, spec_of, wanted};
use super::{Error, Node};
use crate::{
    api::types,
    endpoint::Record,
    error::chain,
    masquerade::MasqueradeSpec,
    netfilter::nftables::{Nftables, Table},
};

/// Our table, as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Masquerade {
    socket: Option<Nftables>,
    /// The generation of the namespace's tables in which ours was right.
    right: Option<u32>,
    /// What it was then: if that is still wanted, what differs is somebody's doing.
    last: Option<Table>,
    /// It is not wanted, and it is not there.
    gone: bool,
    /// Why it is not what it should be.
    pub(super) failure: Option<String>,
}

impl Masquerade {
    /// Works on the table. After an error the next one has a new socket.
    fn with<T>(&mut self, work: impl FnOnce(&mut Nftables) -> io::Result<T>) -> io::Result<T> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => Nftables::open()?,
        };
        let done = work(&mut socket)?;
        self.socket = Some(socket);
        Ok(done)
    }

    /// Makes the table what it should be; nothing, if nothing is wanted. Returns whether it was not.
    fn mend(&mut self, wanted: Option<&Table>) -> io::Result<bool> {
        self.right = None;
        let (generation, changed) = self.with(|nftables| {
            // A change that comes in between is seen the next time.
            let generation = nftables.generation()?;
            let found = nftables.read()?;
            if found.as_ref().is_some_and(|found| !found.ours) {
                return match wanted {
                    Some(_) => Err(io::Error::other("table inet netpath is somebody else's")),
                    None => Ok((generation, false)),
                };
            }
            match (found, wanted) {
                (None, None) => return Ok((generation, false)),
                (Some(found), Some(wanted)) if found.is(wanted) => return Ok((generation, false)),
                (Some(_), None) => nftables.remove()?,
                (_, Some(wanted)) => nftables.replace(wanted)?,
            }
            Ok((generation, true))
        })?;
        self.right = Some(generation).filter(|_| !changed);
        Ok(changed)
    }
}

impl Node {
    /// Makes our table what it should be. What the kernel refuses keeps nothing else from being put
    /// right.
    pub(super) fn mend_masquerade(&mut self) {
        if self.masquerade.gone {
            return;
        }
        let wanted = wanted(&self.config, &self.state);
        match self.masquerade.mend(wanted.as_ref()) {
            Ok(changed) => {
                self.masquerade.failure = None;
                if changed && wanted.is_some() && wanted == self.masquerade.last {
                    tracing::warn!("the masquerading table was not what it should be");
                    self.count_repairs("masquerade", 1);
                } else if changed {
                    tracing::info!(there = wanted.is_some(), "the masquerading table was changed");
                }
                self.masquerade.gone = wanted.is_none();
                self.masquerade.last = wanted;
            }
            // Somebody changed a table while it was read: the next look is at the new one.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if wanted.is_some() || !is_unknown(&error) => {
                let error = chain(&error);
                tracing::warn!(error, "pods are not masqueraded; will try again");
                self.masquerade.failure = Some(error);
            }
            Err(_) => self.masquerade.gone = true,
        }
    }

    /// Looks whether anybody has changed anything in any table of `nf_tables`, and at ours if so. The
    /// kernel tells that by one number; its events would tell of every rule that anybody makes.
    pub(super) fn look_at_masquerade(&mut self) {
        if self.config.masquerades.is_empty() || self.masquerade.failure.is_some() {
            return;
        }
        let now = self.masquerade.with(Nftables::generation).ok();
        if now.is_none() || now != self.masquerade.right {
            self.mend_masquerade();
        }
    }

    /// Puts an endpoint's addresses into the sets, or takes them out.
    pub(super) fn masquerade_endpoint(&mut self, record: &Record, is_there: bool) {
        let sets = sources(&self.config, record);
        if sets.is_empty() {
            return;
        }
        self.masquerade.right = None;
        self.masquerade.last = None;
        let done = self
            .masquerade
            .with(|nftables| if is_there { nftables.add(&sets) } else { nftables.delete(&sets) });
        // The whole of it, if somebody has changed it meanwhile.
        if done.is_err() {
            self.mend_masquerade();
        }
    }

    /// What is masqueraded, for people.
    pub(super) fn show_masquerades(&self) -> Vec<types::Masquerade> {
        let show = |spec: &MasqueradeSpec| {
            let of_table = |address: &IpAddr| self.masquerade_of(*address) == Some(spec);
            let all = self.state.endpoints().flat_map(|record| &record.spec.addresses);
            let addresses = all.map(IpNet::addr).filter(of_table).count();
            types::Masquerade { spec: spec.clone(), addresses }
        };
        self.config.masquerades.iter().map(show).collect()
    }

    /// Whether the host stack masquerades what it sends by a device, if the sender began.
    pub(super) fn is_masqueraded(&self, from: IpAddr, to: IpAddr, index: u32) -> bool {
        let mut parents = self.state.parents.values();
        self.masquerade_of(from).is_some_and(|spec| !spec.holds(to.into()))
            && parents.any(|parent| parent.link.index == index)
    }

    /// How the endpoint of an address is masqueraded, if it is.
    fn masquerade_of(&self, address: IpAddr) -> Option<&MasqueradeSpec> {
        let record = self.state.endpoint(self.state.owner(address)?)?;
        spec_of(&self.config, record, address)
    }
}

/// Removes our table, and tells whether there was one.
pub(super) fn remove() -> Result<bool, Error> {
    let mut masquerade = Masquerade::default();
    match masquerade.mend(None) {
        Err(error) if is_unknown(&error) => Ok(false),
        removed => {
            removed.map_err(|source| Error::Io { action: "remove the masquerading table", source })
        }
    }
}

/// Whether the kernel has no `nf_tables`, and so none of ours: no such protocol, or part of it.
fn is_unknown(error: &io::Error) -> bool {
    let unknown = [libc::EPROTONOSUPPORT, libc::EINVAL, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|error| unknown.contains(&error))
}
