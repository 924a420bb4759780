//! Where `netpath explain` should say that the host stack would lead a packet elsewhere.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use ipnet::IpNet;
use netpath_common::{Path, route::TABLE_MAIN};

use super::{
    Run,
    asked::{BY_DESTINATION, Wanted, Way, holds},
};
use crate::sandbox::address::Family;

impl Run<'_> {
    /// `netpath explain` says of every pod where the host stack would lead its packets elsewhere.
    pub(super) fn ask(&mut self) -> Result<()> {
        for (_, wanted) in &self.places {
            let Some(wanted) = wanted else { continue };
            for family in Family::BOTH {
                let net = self.rng.u8(1..6);
                let to: IpAddr = match family {
                    Family::Ipv4 => [10, 60, net, 7].into(),
                    Family::Ipv6 => [0xfd00, 0x60, net.into(), 0, 0, 0, 0, 7].into(),
                };
                let from = wanted.address.of(family);
                let words = [from, to].map(|address| address.to_string());
                let words = ["explain", &words[0], &words[1]];
                let answer = self.fabric.agents[0].netpath_json(&words)?;
                let expected = self.drifts(wanted, from, to);
                ensure!(answer["drift"] == expected, "{words:?}, not {expected}: {answer}");
            }
        }
        Ok(())
    }

    /// Whether the host stack knows another way than the programs: of a route without a mirror, or
    /// whose next hop is not on the pod's parent, or where a second table is asked after a `throw`.
    fn drifts(&self, wanted: &Wanted, from: IpAddr, to: IpAddr) -> bool {
        let find = |table: u32| {
            let there = self.routes.iter().filter_map(|((of, prefix), way)| {
                let prefix: IpNet = prefix.parse().ok()?;
                (*of == table && prefix.contains(&to)).then_some((prefix.prefix_len(), way))
            });
            there.max_by_key(|(length, _)| *length).map(|(_, way)| way)
        };
        let own = Some(wanted.table_of(from)).filter(|table| *table != TABLE_MAIN);
        let led = BY_DESTINATION.iter().find(|(prefix, _)| holds(prefix, to));
        let tables = own.into_iter().chain(led.map(|(_, table)| *table));
        let asked: Vec<&Way> = tables.filter_map(find).collect();
        let way = asked.first().copied().or_else(|| find(TABLE_MAIN));
        let mirrored = |way: &&&Way| way.path == Path::Drop || !way.via.is_empty();
        let kernel = asked.iter().find(mirrored);
        // The host stack carries the packets of the third segment's.
        let Some(way) = way.filter(|_| wanted.segment != 2) else { return false };
        match (way.path, kernel) {
            (Path::Kernel, _) => false,
            (Path::Host, _) => true,
            (Path::Drop | Path::Local, kernel) => kernel.is_none_or(|way| way.path != Path::Drop),
            (Path::Router, None) => !way.via.is_empty(),
            (Path::Router, Some(way)) => way.path == Path::Drop || way.segment != wanted.segment,
        }
    }
}
