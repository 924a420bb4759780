//! What the agent does with the live maps: it says when one is full, and explains as the programs
//! decide.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result, bail, ensure};
use netpath_agent::datapath::{Error, Query};
use netpath_common::{
    Address, Attachment, Endpoint, EndpointEntry, Hook, Mac, Path, Reason, Route, RouteKey,
    endpoint::DEVICE_MAC, route::TABLE_MAIN,
};
use netpath_tests::program::{Arrival, Counter, frame::Ip, moved};

use crate::world::{CAPACITY, Family, PARENT, ROUTER, VETH, World, families};

/// Fills a map until it is full: the error names the map and what it holds.
pub(crate) fn full_maps_are_named(world: &mut World) -> Result<()> {
    let datapath = &mut world.kernel.datapath;
    let address = |number: u32| Address::from(IpAddr::from((0x7f00_0000 + number).to_be_bytes()));
    let key = |number| RouteKey::prefix(TABLE_MAIN, address(number), 32);

    let endpoints = (0..=CAPACITY)
        .find_map(|number| datapath.put_endpoint(address(number), &Endpoint::default()).err());
    let routes = (0..=CAPACITY).find_map(|number| {
        datapath.put_route(&key(number), &Route::new(&key(number), Path::Drop)).err()
    });
    for number in 0..=CAPACITY {
        datapath.remove_endpoint(&address(number));
        datapath.remove_route(&key(number))?;
    }
    for (map, error) in [("endpoints", endpoints), ("routes", routes)] {
        let error = error.with_context(|| format!("{map} took more than its capacity"))?;
        ensure!(matches!(error, Error::Full { .. }), "{map}: {error}");
        let text = error.to_string();
        let expected = format!("map {map} is full: it holds {CAPACITY} entries");
        ensure!(text.starts_with(&expected), "{text}");
    }
    Ok(())
}

/// Writes and removes addresses at random, many of them with the same digest, and compares what is in
/// the map with what should be; the programs find all that are in one chain.
pub(crate) fn addresses_come_and_go(world: &mut World) -> Result<()> {
    const CHAIN: usize = EndpointEntry::REACH as usize;
    let address = |number: u32| Address::from(IpAddr::from((0x7f00_0000 + number).to_be_bytes()));
    let digest = |address: &Address| address.digest(EndpointEntry::HEAD_BITS);
    let first = digest(&address(0));
    let alike = (0..).map(address).filter(|address| digest(address) == first).take(CHAIN + 4);
    let addresses: Vec<_> = alike.chain((1..200).map(address)).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut expected = BTreeMap::new();
    for step in 0..20_000 {
        let datapath = &mut world.kernel.datapath;
        let address = addresses[random.usize(..addresses.len())];
        if random.u8(..) < 96 {
            datapath.remove_endpoint(&address);
            expected.remove(&address);
        } else {
            let endpoint = Endpoint { slot: step, ..Endpoint::default() };
            let chain = expected.keys().filter(|other| digest(other) == digest(&address)).count();
            let fits = expected.contains_key(&address) || chain < CHAIN;
            let put = datapath.put_endpoint(address, &endpoint);
            ensure!(put.is_ok() == fits, "step {step}, {address} behind {chain}: {put:?}");
            if fits {
                expected.insert(address, endpoint);
            }
        }
        ensure!(datapath.endpoint(&address) == expected.get(&address).copied(), "step {step}");
        if step % 500 == 0 {
            let mut found = BTreeMap::new();
            datapath.each_endpoint(|address, endpoint| {
                found.insert(address, endpoint);
            });
            found.retain(|address, _| addresses.contains(address));
            ensure!(found == expected, "step {step}: {found:?}, expected {expected:?}");
        }
    }
    for address in &addresses {
        world.kernel.datapath.remove_endpoint(address);
    }
    for address in &addresses[..CHAIN] {
        let endpoint = Endpoint { parent: world.parents[0], mac: PARENT[0], ..Endpoint::default() };
        let attachment = Attachment::IpvlanL2 as u8;
        world.kernel.datapath.put_endpoint(*address, &Endpoint { attachment, ..endpoint })?;
    }
    let [Family { elsewhere, .. }, _] = families();
    for address in &addresses[..CHAIN] {
        let macs = (PARENT[0], ROUTER);
        let counted = count(world, Hook::Ingress, macs, elsewhere, (*address).into())?;
        ensure!(counted == (Path::Local, Reason::Endpoint), "{address}: {counted:?}");
    }
    for address in &addresses {
        world.kernel.datapath.remove_endpoint(address);
    }
    Ok(())
}

/// Between every two addresses of a family: explain says what the program counts.
pub(crate) fn explain_says_what_the_programs_do(world: &mut World) -> Result<()> {
    let mut asked = 0;
    for family in families() {
        for (source, destination) in pairs(&family) {
            asked += 1;
            explain(world, source, destination)
                .with_context(|| format!("{source} to {destination}"))?;
        }
    }
    ensure!(asked == 2 * 7 * 15, "{asked} pairs");
    Ok(())
}

fn pairs(family: &Family) -> Vec<(IpAddr, IpAddr)> {
    let Family { a, b, c, p, host, service, elsewhere, .. } = *family;
    let senders = [a, b, c, p, host, service, elsewhere];
    let receivers = [
        a,
        b,
        c,
        family.d,
        family.q,
        host,
        service,
        elsewhere,
        family.kernel,
        family.dropped,
        family.unassigned,
        family.served,
        family.routed,
        family.via,
        family.dropped_for_c,
    ];
    // Ingress from elsewhere to elsewhere included: in transit.
    senders.into_iter().flat_map(|from| receivers.map(|to| (from, to))).collect()
}

fn explain(world: &mut World, source: IpAddr, destination: IpAddr) -> Result<()> {
    let [ifindex, _] = world.parents;
    let explanation = world.kernel.datapath.explain(&Query {
        ifindex,
        source,
        destination,
        protocol: 6,
        source_port: 4000,
        destination_port: 80,
    })?;
    let macs = match explanation.hook {
        Hook::Egress => (ROUTER, PARENT[0]),
        Hook::FromEndpoint => (DEVICE_MAC, VETH[0]),
        Hook::Ingress | Hook::Xdp | Hook::ToEndpoint | Hook::Loopback => (PARENT[0], ROUTER),
    };
    let counted = count(world, explanation.hook, macs, source, destination)?;
    let explained = (explanation.verdict.path(), explanation.verdict.reason());
    ensure!(explained == counted, "explained {explained:?}, counted {counted:?}");
    ensure!(!explanation.steps.is_empty(), "no steps");
    Ok(())
}

/// Path and reason under which the program counts a packet.
fn count(
    world: &mut World,
    hook: Hook,
    (to, from): (Mac, Mac),
    source: IpAddr,
    destination: IpAddr,
) -> Result<(Path, Reason)> {
    let ifindex = match hook {
        Hook::FromEndpoint => world.devices[0],
        _ => world.parents[0],
    };
    // Where an honest sender's socket is.
    let sender = world.plain.endpoints.get(&source.into()).filter(|it| !it.has_device());
    let namespace = sender.map_or(world.kernel.room.node.number, |sender| sender.namespace);
    let frame = Ip::tcp(source, destination, 4000, 80).frame(to, from);
    let before = world.kernel.counters()?;
    world.kernel.run(&Arrival { hook, ifindex, forwarded: false, namespace, mark: 0, frame })?;
    for counter in moved(&before, &world.kernel.counters()?).into_keys() {
        if let Counter::Verdict(key) = counter {
            let path = Path::from_u8(key.path).context("an unknown path")?;
            let reason = Reason::from_u16(key.reason).context("an unknown reason")?;
            return Ok((path, reason));
        }
    }
    bail!("nothing was counted")
}
