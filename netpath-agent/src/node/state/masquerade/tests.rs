//! Masquerading in the map.

use std::{collections::BTreeMap, net::IpAddr};

use netpath_common::{Address, Route, RouteKey};

use super::*;
use crate::{node::RouteEntry, rule::RuleSpec};

const TABLE: Table = Table(100);

fn net(text: &str) -> IpNet {
    text.parse().expect("prefix")
}

fn add(state: &mut State, table: Table, prefix: &str, path: Path, via: &[&str]) {
    let via = via.iter().map(|text| text.parse().expect("address")).collect();
    let spec = RouteSpec { table, prefix: net(prefix), path, via };
    state.insert_route(RouteEntry { spec, configured: false });
}

fn state(vpc: &[&str]) -> State {
    let vpc = vpc.iter().map(|text| net(text)).collect();
    let masquerades = vec![MasqueradeSpec { table: TABLE, vpc }];
    State { masquerades, ..State::default() }
}

fn map(state: &State) -> BTreeMap<(u32, IpAddr, u32), Route> {
    let routes: Vec<_> = state.map_routes().collect();
    let place = |key: &RouteKey| (key.table, IpAddr::from(key.address), key.prefix_len);
    let map: BTreeMap<_, _> = routes.iter().map(|(key, route)| (place(key), *route)).collect();
    assert_eq!(map.len(), routes.len(), "a place twice");
    map
}

/// What the programs find: the longest prefix of the table, then of the main one.
fn found(state: &State, address: &str) -> Option<(Path, Vec<IpAddr>)> {
    let address: IpAddr = address.parse().expect("address");
    let longest = |table: Table| {
        let routes = state.map_routes().filter(|(key, _)| {
            key.table == table.0 && key.address.is_v4() == address.is_ipv4() && {
                IpNet::new(key.address.into(), key.length()).is_ok_and(|n| n.contains(&address))
            }
        });
        routes.max_by_key(|(key, _)| key.prefix_len).map(|(_, route)| route)
    };
    let route = longest(TABLE).or_else(|| longest(Table::MAIN))?;
    let hops = route.next_hops().map(<IpAddr as From<Address>>::from).collect();
    Some((Path::from_u8(route.path)?, hops))
}

fn path(state: &State, address: &str) -> Option<Path> {
    found(state, address).map(|(path, _)| path)
}

#[test]
fn what_leaves_the_vpc_is_the_kernels() {
    let mut state = state(&["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(path(&state, "192.0.2.1"), Some(Path::Kernel));
    assert_eq!(path(&state, "2001:db8::1"), Some(Path::Kernel));
    assert_eq!(path(&state, "10.200.0.1"), Some(Path::Router));
    assert_eq!(path(&state, "fe80::1"), Some(Path::Router), "on the link");
    add(&mut state, TABLE, "0.0.0.0/0", Path::Router, &["10.0.0.9"]);
    add(&mut state, TABLE, "192.0.2.0/24", Path::Router, &["10.0.0.8"]);
    add(&mut state, TABLE, "198.51.100.0/24", Path::Drop, &[]);
    assert_eq!(path(&state, "192.0.2.1"), Some(Path::Kernel));
    assert_eq!(path(&state, "198.51.100.1"), Some(Path::Drop));
    let by = "10.0.0.9".parse().expect("address");
    assert_eq!(found(&state, "10.1.0.1"), Some((Path::Router, vec![by])));
}

#[test]
fn the_main_table_is_asked_as_before() {
    let mut state = state(&["10.0.0.0/8"]);
    add(&mut state, Table::MAIN, "10.96.0.0/12", Path::Kernel, &[]);
    add(&mut state, Table::MAIN, "192.0.2.0/24", Path::Drop, &[]);
    add(&mut state, Table::MAIN, "fd00:96::/112", Path::Kernel, &[]);
    assert_eq!(path(&state, "10.96.0.10"), Some(Path::Kernel), "a Service");
    assert_eq!(path(&state, "10.0.0.10"), Some(Path::Router));
    assert_eq!(path(&state, "192.0.2.1"), Some(Path::Drop));
    assert_eq!(path(&state, "fd00:96::1"), Some(Path::Kernel));
    assert_eq!(path(&state, "2001:db8::1"), None, "a family without a prefix is left alone");
    add(&mut state, TABLE, "10.0.0.0/8", Path::Router, &["10.0.0.9"]);
    assert!(found(&state, "10.96.0.10").is_some_and(|(_, hops)| hops.len() == 1), "hidden");
}

/// What an endpoint would be led to without, and then masqueraded: for every address as the map has it.
#[test]
fn random_tables_lead_where_they_should() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut state = state(&["8.0.0.0/5", "64.0.0.0/2", "66.0.0.0/7"]);
        state.rules.push(RuleSpec {
            from: None,
            to: Some(net("64.0.0.0/3")),
            mark: None,
            table: Table(300),
        });
        let mut kept = map(&state);
        for _ in 0..40 {
            let prefix = IpNet::new([random.u8(..), 0, 0, 0].into(), random.u8(0..8));
            let prefix = prefix.expect("length").trunc();
            let table = [TABLE, Table::MAIN, Table(300)][random.usize(0..3)];
            if random.bool() {
                let path = [Path::Router, Path::Kernel, Path::Drop][random.usize(0..3)];
                add(&mut state, table, &prefix.to_string(), path, &[]);
            } else {
                state.remove_route(table, prefix);
            }
            for (table, prefix) in state.concerned(table, prefix) {
                let key = crate::route::key(table, prefix);
                let place = (key.table, IpAddr::from(key.address), key.prefix_len);
                match state.map_route(table, prefix) {
                    Some((_, route)) => drop(kept.insert(place, route)),
                    None => drop(kept.remove(&place)),
                }
            }
            assert_eq!(kept, map(&state), "seed {seed}: kept up to date");
        }
        let mut without = state.clone();
        let specs = std::mem::take(&mut without.masquerades);
        for first in 0..=255 {
            let address = format!("{first}.0.0.1");
            let inside = specs[0].holds(net(&format!("{address}/32")));
            let expected = match path(&without, &address) {
                None | Some(Path::Router) if !inside => Path::Kernel,
                found => found.unwrap_or(Path::Router),
            };
            assert_eq!(path(&state, &address), Some(expected), "seed {seed}: {address}");
        }
    }
}
