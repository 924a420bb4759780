//! Whether an address is free.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

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
        // A socket has one protocol.
        let of =
            |v4: bool| addresses.iter().copied().filter(move |address| address.is_ipv4() == v4);
        let [v4, v6] = [true, false].map(|v4| self.family(interface, of(v4).collect(), timeout));
        let (mut found, v6) = future::try_join(v4, v6).await?;
        found.extend(v6);
        let place = |conflict: &Conflict| addresses.iter().position(|own| *own == conflict.address);
        found.sort_by_key(place);
        Ok(found)
    }

    async fn family(
        &self,
        interface: &Interface,
        addresses: BTreeSet<IpAddr>,
        timeout: Duration,
    ) -> Result<Vec<Conflict>, Error> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let own = interface.mac;
        // In their order, which is the same for everybody: nobody waits for somebody who waits.
        let mut turns = Vec::new();
        for address in &addresses {
            turns.push(self.turns.take(*address).await);
        }
        let about = addresses.iter().map(|address| (*address, frame::probe(own, *address)));
        let question = Question { interface, about: about.collect() };
        let mut claims = BTreeMap::new();
        let all_are_foreign = question.ask(timeout, |address, heard| {
            match heard {
                Heard::Probe(mac) if mac == own => return None,
                Heard::Claim(mac) | Heard::Probe(mac) => {
                    let claim = claims.entry(address).or_insert(mac);
                    if *claim == own {
                        *claim = mac;
                    }
                }
            }
            let foreign = claims.values().filter(|mac| **mac != own).count();
            (foreign == addresses.len()).then_some(())
        });
        all_are_foreign.await?;
        Ok(claims.into_iter().map(|(address, mac)| Conflict { address, mac }).collect())
    }
}
