//! What a decision costs, by path and by the size of the tables.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Result, ensure};
use netpath_common::{
    Address, Attachment, Endpoint, Hook, Mac, Node, Parent, Path, Route, RouteKey,
    endpoint::NO_SLOT, route::TABLE_MAIN,
};
use serde::Serialize;

use super::{Arrival, Return, empty, frame::Ip, kernel::Kernel, plain::Plain, room::Room};

/// Runs of a program in one measurement.
const RUNS: u32 = 1_000_000;
/// Measurements, of which the least counts: whatever else the machine does only adds.
const ROUNDS: usize = 5;

const OWN: Mac = Mac::new([2, 0, 0, 0, 0, 0xa0]);
const ROUTER: Mac = Mac::new([2, 0, 0, 0, 0, 1]);
const ENTRY: Node =
    Node { entry: 4242, entry_mac: Mac::new([2, 0, 0, 0, 0, 0xee]), flags: 0, node_ports: [0, 0] };

/// A measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Family, who sends to whom, and the path.
    pub path: String,
    /// Endpoints in the map.
    pub endpoints: u32,
    /// Prefixes in the trie.
    pub prefixes: u32,
    /// By the programs that translate packets for Services; this one is for none.
    pub services: bool,
    /// Nanoseconds per packet.
    pub ns: u128,
    /// The same, less those of an empty program.
    pub net_ns: u128,
}

/// Measures every path in both families, with each number of endpoints.
pub fn decide(endpoints: &[u32], prefixes: u32, progress: impl Fn(&str)) -> Result<Vec<Row>> {
    let room = Room::enter()?;
    let most = endpoints.iter().copied().max().unwrap_or(0);
    // Room for the addresses of both families, the node's own, and the prefixes of the paths.
    let mut kernel = Kernel::load(room, most * 2 + 16, prefixes + 16)?;
    let mut rows = Vec::new();
    for count in endpoints {
        progress(&format!("{count} endpoints, {prefixes} prefixes"));
        let tables = tables(&kernel.room, *count, prefixes);
        tables.load(&mut kernel.datapath)?;
        let empty = empty::measure(RUNS, ROUNDS)?;
        let mut paths: Vec<_> = [true, false]
            .into_iter()
            .flat_map(|v4| paths(&kernel.room, v4).into_iter().map(move |path| (v4, path)))
            .flat_map(|path| [false, true].map(|services| (services, path.clone(), u128::MAX)))
            .collect();
        // One round after the other over all paths: a busy moment of the machine spoils one
        // measurement of each, not all of one.
        for _ in 0..ROUNDS {
            for (services, (_, (path, arrival, result)), least) in &mut paths {
                kernel.packets = *services;
                let (outcome, mean) = kernel.repeat(arrival, RUNS)?;
                ensure!(outcome.result == *result, "{path}: {:?}", outcome.result);
                *least = mean.min(*least);
            }
        }
        rows.extend(paths.into_iter().map(|(services, (v4, (path, ..)), ns)| Row {
            path: format!("{} {path}", if v4 { "ipv4" } else { "ipv6" }),
            endpoints: *count,
            prefixes,
            services,
            ns,
            net_ns: ns.saturating_sub(empty),
        }));
        tables.unload(&mut kernel.datapath)?;
    }
    Ok(rows)
}

/// Endpoint `number`'s address: the first two are who sends and receives.
fn endpoint(v4: bool, number: u32) -> IpAddr {
    if v4 {
        return (0x0a00_0000 + number + 1).to_be_bytes().into();
    }
    IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(number + 1)))
}

/// A prefix of 24 bits (of 64 in IPv6) that no endpoint is in.
fn prefix(v4: bool, number: u32) -> (Address, u8) {
    let bits = 0x4000_0000_u32 + (number << 8);
    if v4 {
        return (Address::v4(bits.to_be_bytes()), 24);
    }
    (Address::v6((0x2001 << 112 | u128::from(bits) << 64).to_be_bytes()), 64)
}

const fn host(v4: bool) -> IpAddr {
    if v4 {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 1))
    } else {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1))
    }
}

/// Addresses in the prefixes whose path is kernel, drop and router.
fn target(v4: bool, path: Path) -> IpAddr {
    if v4 {
        IpAddr::from([172, 16 + path as u8, 0, 9])
    } else {
        IpAddr::V6(Ipv6Addr::new(0xfd02, path as u16, 0, 0, 0, 0, 0, 9))
    }
}

fn tables(room: &Room, endpoints: u32, prefixes: u32) -> Plain {
    let mut plain = Plain::default();
    let [parent, _] = room.parents;
    for v4 in [true, false] {
        for slot in 0..endpoints {
            let value = Endpoint {
                parent,
                slot,
                table: TABLE_MAIN,
                namespace: room.pod.number,
                device: 0,
                mac: OWN,
                attachment: Attachment::IpvlanL2 as u8,
                flags: 0,
            };
            plain.endpoints.insert(endpoint(v4, slot).into(), value);
        }
        let value = Endpoint {
            slot: NO_SLOT,
            table: TABLE_MAIN,
            namespace: room.node.number,
            ..Endpoint::default()
        };
        plain.endpoints.insert(host(v4).into(), value);
        for path in [Path::Kernel, Path::Drop, Path::Router] {
            let length = if v4 { 16 } else { 32 };
            let mut address = Address::from(target(v4, path));
            address.octets[15] = 0;
            let key = RouteKey::prefix(TABLE_MAIN, address, length);
            plain.route(key, Route::new(&key, path));
        }
        for number in 0..prefixes / 2 {
            let (address, length) = prefix(v4, number);
            let key = RouteKey::prefix(TABLE_MAIN, address, length);
            plain.route(key, Route::new(&key, Path::Router));
        }
    }
    plain.namespaces.insert(room.pod.number);
    plain.parents.insert(parent, Parent { mac: OWN, ..Parent::default() });
    plain.node = ENTRY;
    plain
}

/// The paths: a name, a packet that takes it, and what the program returns.
fn paths(room: &Room, v4: bool) -> Vec<(&'static str, Arrival, Return)> {
    let [ifindex, _] = room.parents;
    let [a, b, host] = [endpoint(v4, 0), endpoint(v4, 1), host(v4)];
    let elsewhere = target(v4, Path::Router);
    let packet = |hook, from, to, destination_mac, source_mac| Arrival {
        hook,
        ifindex,
        forwarded: false,
        namespace: if from == a { room.pod.number } else { room.node.number },
        mark: 0,
        frame: Ip::tcp(from, to, 4000, 80).frame(destination_mac, source_mac),
    };
    let sent = |from, to| packet(Hook::Egress, from, to, ROUTER, OWN);
    let came = |hook, to| packet(hook, elsewhere, to, OWN, ROUTER);
    vec![
        ("endpoint->endpoint local", sent(a, b), Return::Redirect),
        ("node->endpoint local", sent(host, b), Return::Redirect),
        ("wire->endpoint local", came(Hook::Ingress, b), Return::Pass),
        ("endpoint->node host", sent(a, host), Return::Redirect),
        ("wire->node host", came(Hook::Ingress, host), Return::Pass),
        ("endpoint->prefix router", sent(a, elsewhere), Return::Pass),
        ("node->prefix router", sent(host, elsewhere), Return::Pass),
        ("endpoint->prefix kernel", sent(a, target(v4, Path::Kernel)), Return::Redirect),
        ("endpoint->prefix drop", sent(a, target(v4, Path::Drop)), Return::Drop),
        ("wire->endpoint xdp", came(Hook::Xdp, b), Return::Pass),
    ]
}
