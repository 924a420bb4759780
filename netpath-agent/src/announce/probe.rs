//! Whether an address is free.

use std::{net::IpAddr, time::Duration};

use futures::future;
use netpath_common::Mac;

use super::{Error, Interface, frame, heard::Heard, question::Question, turn::Turns};

/// Somebody else has an address, or is about to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Who answered.
    pub mac: Mac,
}

/// The probes of a node: for one address there is one at a time.
#[derive(Debug, Default)]
pub struct Probes {
    turns: Turns,
}

impl Probes {
    /// Asks the wire for addresses that nobody should have, all at once: ARP probes (RFC 5227,
    /// 2.1.1), and duplicate address detection (RFC 4862, 5.4). Returns those that somebody has.
    ///
    /// It takes `timeout` from the first question on if an address is free, plus the time until
    /// others have finished with the same address. The interface must be up.
    ///
    /// [`Conflict::mac`] may be our own, since ipvlan's children, their parent and what netpath
    /// answers for share it. Whoever knows which addresses the node owns must judge. A foreign
    /// answer counts more, if there are both. Our own probes, come back from a switch, do not
    /// count. In some clouds the fabric answers for every address: probes are of no use there.
    pub async fn probe(
        &self,
        interface: &Interface,
        addresses: &[IpAddr],
        timeout: Duration,
    ) -> Result<Vec<Conflict>, Error> {
        let probes = addresses.iter().map(|address| self.one(interface, *address, timeout));
        let conflicts = future::try_join_all(probes).await?;
        Ok(conflicts.into_iter().flatten().collect())
    }

    async fn one(
        &self,
        interface: &Interface,
        address: IpAddr,
        timeout: Duration,
    ) -> Result<Option<Conflict>, Error> {
        let own = interface.mac;
        let _turn = self.turns.take(address).await;
        let question = Question { interface, about: address, frame: frame::probe(own, address) };
        let mut claimed = None;
        let foreign = question.ask(timeout, |heard| match heard {
            Heard::Claim(mac) if mac == own => {
                claimed = Some(own);
                None
            }
            Heard::Probe(mac) if mac == own => None,
            Heard::Claim(mac) | Heard::Probe(mac) => Some(mac),
        });
        let foreign = foreign.await?;
        Ok(foreign.or(claimed).map(|mac| Conflict { address, mac }))
    }
}
