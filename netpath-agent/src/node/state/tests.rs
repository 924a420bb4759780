//! The desired state and the tables that follow from it.

use netpath_common::{
    Endpoint, Mac, ServiceKey,
    endpoint::{FLAG_NODE_PORTS, FLAG_SERVICE},
};

use super::*;
use crate::{
    attachment::Attachment,
    config::{self, Switching, Xdp},
    endpoint::EndpointSpec,
    netlink::LinkKind,
    service::registry::Delta,
};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn net(text: &str) -> IpNet {
    text.parse().expect("prefix")
}

fn parent() -> Parent {
    Parent {
        config: config::Parent {
            name: InterfaceName::ETH0,
            mac: None,
            pci: None,
            vlan: None,
            subnets: Vec::new(),
            routers: Vec::new(),
            table: None,
            attachment: Attachment::IpvlanL2,
            switching: Switching::Parent,
            accelerate: true,
            xdp: Xdp::Off,
        },
        link: Link {
            index: 2,
            name: "eth0".to_owned(),
            mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
            permanent: None,
            mtu: 1500,
            up: true,
            loopback: false,
            kind: LinkKind::Other,
            ipvlan: None,
            macvlan: None,
            vlan: None,
            port_of: None,
            lower: None,
            alias: None,
        },
    }
}

fn record(name: &str, slot: u32, addresses: &[&str]) -> Record {
    Record {
        spec: EndpointSpec {
            name: name.parse().expect("name"),
            netns: "/run/netns/a".into(),
            interface: InterfaceName::ETH0,
            parent: InterfaceName::ETH0,
            attachment: None,
            addresses: addresses.iter().map(|text| net(text)).collect(),
            gateways: Vec::new(),
            table: Table(7),
            mtu: None,
        },
        slot,
        link_local: Some("fe80::5".parse().expect("address")),
        stage: Stage::Ready,
        namespace: Some(9),
        nic: None,
        attached: None,
        attachment: Attachment::IpvlanL2,
    }
}

fn route(table: Table, prefix: &str, path: Path) -> RouteEntry {
    let spec = RouteSpec { table, prefix: net(prefix), path, via: Vec::new() };
    RouteEntry { spec, configured: false }
}

fn state() -> State {
    let mut state = State::default();
    state.parents.insert(InterfaceName::ETH0, parent());
    state.host.insert(ip("10.0.0.1"));
    state.insert(record("a", 0, &["10.0.1.5/24", "fd00::5/64"]));
    state
}

#[test]
fn every_address_has_an_entry() {
    let tables = state().tables();
    let mut found: Vec<_> = tables.endpoints.keys().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found, ["10.0.0.1", "10.0.1.5", "fd00::5", "fe80::5"]);
    let endpoint = tables.endpoints[&ip("fd00::5").into()];
    assert_eq!((endpoint.parent, endpoint.slot, endpoint.table), (2, 0, 7));
    assert_eq!(endpoint.mac, Mac::new([2, 0, 0, 0, 0, 1]));
    assert!(tables.endpoints[&ip("10.0.0.1").into()].is_host());
}

#[test]
fn single_entries_are_those_of_the_whole() {
    let mut state = state();
    state.insert_route(route(Table(7), "10.0.1.5/32", Path::Kernel));
    state.insert_route(route(Table::MAIN, "10.0.0.1/32", Path::Kernel));
    for (address, endpoint) in state.tables().endpoints {
        assert_eq!(state.entry(address.into()), Some(endpoint), "{address}");
    }
    assert_eq!(state.entry(ip("10.0.1.6")), None);
}

#[test]
fn only_full_length_routes_set_the_flag() {
    let mut state = state();
    let routed = |state: &State| state.entry(ip("10.0.1.5")).is_some_and(|e| e.is_routed());
    state.insert_route(route(Table::MAIN, "10.0.1.0/24", Path::Kernel));
    assert!(!routed(&state));
    state.insert_route(route(Table::MAIN, "10.0.1.5/32", Path::Kernel));
    state.insert_route(route(Table(7), "10.0.1.5/32", Path::Drop));
    state.insert_route(route(Table(7), "10.0.1.5/32", Path::Kernel));
    state.remove_route(Table(7), net("10.0.1.5/32"));
    assert!(routed(&state), "the main table still has one");
    state.remove_route(Table::MAIN, net("10.0.1.5/32"));
    state.remove_route(Table::MAIN, net("10.0.1.5/32"));
    assert!(!routed(&state));
}

#[test]
fn endpoints_vanish_with_their_parent_and_come_back() {
    let mut state = state();
    let parents = std::mem::take(&mut state.parents);
    assert_eq!(state.tables().endpoints.len(), 1, "the node's own address");
    state.parents = parents;
    assert_eq!(state.tables().endpoints.len(), 4);
}

#[test]
fn an_endpoint_keeps_its_address_from_the_node() {
    let mut state = state();
    state.host.insert(ip("10.0.1.5"));
    assert!(!state.tables().endpoints[&ip("10.0.1.5").into()].is_host());
    assert!(!state.entry(ip("10.0.1.5")).is_some_and(|entry| entry.is_host()));
}

#[test]
fn slots_and_addresses_are_free_again_after_removal() {
    let mut state = state();
    state.insert(Record { link_local: None, ..record("b", 1, &["10.0.1.6/24"]) });
    assert_eq!(state.free_slot(), 2);
    state.remove(&"a".parse().expect("name"));
    assert_eq!(state.free_slot(), 0);
    assert_eq!(state.owner(ip("fe80::5")), None);
    assert_eq!(state.owner(ip("10.0.1.6")).map(ToString::to_string).as_deref(), Some("b"));
}

#[test]
fn a_dropped_prefix_is_a_black_hole() {
    let mut state = state();
    assert!(!state.has_blackholes());
    state.insert_route(route(Table(9), "fd00:bad::/32", Path::Drop));
    assert!(state.has_blackholes());
}

#[test]
fn a_macvlan_endpoint_has_an_address_of_its_own() {
    let mut state = state();
    let own = Record {
        attachment: Attachment::Macvlan,
        ..record("m", 1, &["10.0.1.6/24", "fd00::6/64"])
    };
    let mac = own.mac().expect("own");
    state.insert(own);
    for address in ["10.0.1.6", "fd00::6"] {
        let entry = state.entry(ip(address)).expect("entry");
        assert_eq!((entry.mac, entry.attachment), (mac, netpath_common::Attachment::Macvlan as u8));
    }
}

#[test]
fn a_policy_route_endpoint_lacks_only_the_wire_without_its_parent() {
    let mut state = state();
    state.stacked.insert(InterfaceName::ETH0);
    let attachment = Attachment::PolicyRoute;
    state.insert(Record { attachment, link_local: None, ..record("p", 1, &["10.0.1.6/24"]) });
    assert_eq!(state.entry(ip("10.0.1.6")), None, "without its device");
    state.devices.insert("p".parse().expect("name"), 9);
    let with = state.entry(ip("10.0.1.6")).expect("entry");
    assert!(with.parent == 2 && with.device == 9 && with.is_stacked(), "{with:?}");
    state.parents.clear();
    assert_eq!(state.entry(ip("10.0.1.6")), Some(Endpoint { parent: 0, ..with }));
    assert_eq!(state.entry_count(), state.tables().endpoints.len());
}

/// A change by which addresses and node ports of Services come or go.
fn services(keys: &[&str], more: bool) -> Delta {
    let key = |text: &&str| {
        let socket: std::net::SocketAddr = text.parse().expect("address and port");
        ServiceKey::new(socket.ip().into(), socket.port().to_be(), 6)
    };
    let keys: Vec<_> = keys.iter().map(key).collect();
    if more {
        Delta { added: keys, ..Delta::default() }
    } else {
        Delta { remove: keys, ..Delta::default() }
    }
}

#[test]
fn addresses_of_services_are_in_the_map() {
    let mut state = State::default();
    state.services.at_packets = true;
    state.parents.insert(InterfaceName::ETH0, parent());
    state.host = ["10.0.1.2", "fd00:1::2"].map(ip).into();
    state.insert(record("web", 3, &["10.0.1.11/24"]));
    let plain = state.tables().endpoints;
    let all = ["10.96.0.10:80", "10.96.0.10:443", "10.0.1.2:80", "10.0.1.11:80", "0.0.0.0:30080"];
    let touched = state.follow_services(&services(&all, true));
    assert_eq!(touched, ["10.96.0.10", "10.0.1.2", "10.0.1.11"].map(ip).into());
    let flags = |state: &State, address| state.entry(ip(address)).map(|entry| entry.flags);
    let service = state.entry(ip("10.96.0.10")).expect("an entry");
    assert!(service.is_service() && service.slot == NO_SLOT && service.namespace == 0);
    assert_eq!(flags(&state, "10.96.0.10"), Some(FLAG_SERVICE));
    assert_eq!(flags(&state, "10.0.1.2"), Some(FLAG_SERVICE | FLAG_NODE_PORTS));
    assert_eq!(flags(&state, "fd00:1::2"), Some(0));
    // An endpoint keeps its address.
    let endpoint = state.entry(ip("10.0.1.11")).expect("an entry");
    assert_eq!((endpoint.slot, endpoint.flags), (3, FLAG_SERVICE));
    assert_eq!(state.entries().count(), state.entry_count());
    assert!(state.entries().all(|(address, it)| state.entry(address.into()) == Some(it)));
    // The second port of an address changes nothing, nor does the first that goes.
    assert!(state.follow_services(&services(&["10.96.0.10:81"], true)).is_empty());
    assert!(state.follow_services(&services(&["10.96.0.10:81"], false)).is_empty());
    let touched = state.follow_services(&services(&["[::]:30080"], true));
    assert_eq!(touched, [ip("fd00:1::2")].into());
    state.follow_services(&services(&["[::]:30080"], false));
    state.follow_services(&services(&all, false));
    assert_eq!(state.tables().endpoints, plain);
    assert_eq!(state.entry_count(), plain.len());
}

#[test]
fn sockets_alone_need_no_addresses_of_services() {
    let mut state = State { host: [ip("10.0.1.2")].into(), ..State::default() };
    state.follow_services(&services(&["10.96.0.10:80", "0.0.0.0:30080"], true));
    assert_eq!((state.entry(ip("10.96.0.10")), state.entry_count()), (None, 1));
    assert_eq!(state.entry(ip("10.0.1.2")).map(|it| it.flags), Some(FLAG_NODE_PORTS));
    assert!(state.services.has(ip("10.96.0.10")));
}

#[test]
fn exclusive_endpoints_are_told_of_service_prefixes() {
    let state = State { service_prefixes: vec![net("10.96.0.0/12")], ..State::default() };
    assert_eq!(state.prefixes(), [net("10.96.0.0/12")]);
}
