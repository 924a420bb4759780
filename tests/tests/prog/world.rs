//! The world of the tables: two parents, twelve endpoints, the node, and routes of every path.

pub(crate) mod services;

use std::net::IpAddr;

use anyhow::Result;
use netpath_common::{
    Address, Attachment, Endpoint, Mac, Node, Parent, Path, Route, RouteKey,
    endpoint::{FLAG_NODE_PORTS, FLAG_ROUTED, FLAG_STACK, NO_SLOT},
    node::FLAG_BLACKHOLES,
    parent::{FLAG_DRIVER, FLAG_XDP_NATIVE, Prefix},
    route::TABLE_MAIN,
};
use netpath_tests::program::{
    Arrival, Counter, Counters, Outcome, kernel::Kernel, moved, oracle, plain::Plain, room::Room,
};

/// Ethernet addresses: of the parents, of the kernel entry, of endpoints g, h, p and q, and of
/// others on the wire.
pub(crate) const PARENT: [Mac; 2] =
    [Mac::new([2, 0, 0, 0, 0, 0xa0]), Mac::new([2, 0, 0, 0, 0, 0xa1])];
pub(crate) const ENTRY_MAC: Mac = Mac::new([2, 0, 0, 0, 0, 0xee]);
pub(crate) const ROUTER: Mac = Mac::new([2, 0, 0, 0, 0, 0x01]);
pub(crate) const MACVLAN: Mac = Mac::new([2, 0, 0, 0, 0, 0x17]);
pub(crate) const MACVLAN2: Mac = Mac::new([2, 0, 0, 0, 0, 0x18]);
pub(crate) const VETH: [Mac; 2] =
    [Mac::new([2, 0, 0, 0, 0, 0x19]), Mac::new([2, 0, 0, 0, 0, 0x20])];
pub(crate) const STRANGER: Mac = Mac::new([2, 0, 0, 0, 0, 0x66]);
/// Interface index of the kernel entry; no test run looks for the device.
pub(crate) const ENTRY: u32 = 4242;
/// Entries that the maps hold.
pub(crate) const CAPACITY: u32 = 1024;
/// Endpoint c's own table.
pub(crate) const TABLE: u32 = 100;
/// Number of a namespace that no packet of a test comes from.
pub(crate) const ANOTHER: u32 = 1;
/// Slots of the endpoints.
pub(crate) const SLOTS: [(&str, u32); 12] = [
    ("a", 11),
    ("b", 12),
    ("c", 13),
    ("d", 14),
    ("e", 15),
    ("f", 16),
    ("g", 17),
    ("h", 18),
    ("p", 19),
    ("q", 20),
    ("l", 21),
    ("x", 22),
];

/// The addresses of the world in one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// On parent 0; a and b in one subnet.
    pub(crate) a: IpAddr,
    pub(crate) b: IpAddr,
    /// On parent 0 and 1, in another namespace than the others.
    pub(crate) e: IpAddr,
    pub(crate) f: IpAddr,
    /// On parent 0 and 1, attached by macvlan.
    pub(crate) g: IpAddr,
    pub(crate) h: IpAddr,
    /// On parent 0, with devices 0 and 1 of their own; the host stack carries q's packets.
    pub(crate) p: IpAddr,
    pub(crate) q: IpAddr,
    /// On parent 0, attached by ipvlan in L3 mode.
    pub(crate) l: IpAddr,
    /// With a NIC of its own, and device 1 beside it.
    pub(crate) x: IpAddr,
    /// On parent 0, in another subnet, with a table of its own.
    pub(crate) c: IpAddr,
    /// On parent 1, whose children the driver switches, with native XDP.
    pub(crate) d: IpAddr,
    /// The node, and a service that only its stack serves.
    pub(crate) host: IpAddr,
    pub(crate) service: IpAddr,
    /// In the prefix of the main table whose path is ...
    pub(crate) kernel: IpAddr,
    pub(crate) dropped: IpAddr,
    pub(crate) unassigned: IpAddr,
    pub(crate) served: IpAddr,
    pub(crate) routed: IpAddr,
    pub(crate) via: IpAddr,
    /// Dropped by c's table only.
    pub(crate) dropped_for_c: IpAddr,
    /// In no prefix.
    pub(crate) elsewhere: IpAddr,
    /// Services': for who is inside, and for everybody.
    pub(crate) vip: IpAddr,
    pub(crate) external: IpAddr,
    pub(crate) group: IpAddr,
    pub(crate) nobody: IpAddr,
    prefixes: [(u32, &'static str, u8, Path); 8],
    next_hop: (&'static str, u8, &'static str),
}

pub(crate) fn families() -> [Family; 2] {
    let at = |text: &str| text.parse().expect("address");
    [
        Family {
            name: "ipv4",
            a: at("10.0.1.11"),
            b: at("10.0.1.12"),
            c: at("10.0.2.13"),
            d: at("10.0.1.14"),
            e: at("10.0.1.15"),
            f: at("10.0.1.16"),
            g: at("10.0.1.17"),
            h: at("10.0.1.18"),
            p: at("10.0.1.19"),
            q: at("10.0.1.20"),
            l: at("10.0.1.21"),
            x: at("10.0.1.22"),
            host: at("10.0.0.1"),
            service: at("169.254.20.10"),
            kernel: at("10.96.0.10"),
            dropped: at("203.0.113.7"),
            unassigned: at("10.0.1.200"),
            served: at("10.5.0.1"),
            routed: at("10.6.0.1"),
            via: at("10.8.0.1"),
            dropped_for_c: at("10.7.0.1"),
            elsewhere: at("192.0.2.9"),
            vip: at("10.97.0.10"),
            external: at("198.51.100.10"),
            group: at("224.0.0.251"),
            nobody: at("0.0.0.0"),
            prefixes: [
                (TABLE_MAIN, "10.96.0.0", 12, Path::Kernel),
                (TABLE_MAIN, "203.0.113.0", 24, Path::Drop),
                (TABLE_MAIN, "10.0.1.128", 25, Path::Local),
                (TABLE_MAIN, "10.5.0.0", 16, Path::Host),
                (TABLE_MAIN, "10.6.0.0", 16, Path::Router),
                (TABLE, "10.7.0.0", 16, Path::Drop),
                (TABLE, "10.0.1.12", 32, Path::Drop),
                (TABLE_MAIN, "10.0.1.22", 32, Path::Router),
            ],
            next_hop: ("10.8.0.0", 16, "10.0.0.254"),
        },
        Family {
            name: "ipv6",
            a: at("fd00:1::11"),
            b: at("fd00:1::12"),
            c: at("fd00:2::13"),
            d: at("fd00:1::14"),
            e: at("fd00:1::15"),
            f: at("fd00:1::16"),
            g: at("fd00:1::17"),
            h: at("fd00:1::18"),
            p: at("fd00:1::19"),
            q: at("fd00:1::20"),
            l: at("fd00:1::21"),
            x: at("fd00:1::22"),
            host: at("fd00::1"),
            service: at("fd00:20::10"),
            kernel: at("fd00:96::10"),
            dropped: at("fd00:bad::7"),
            unassigned: at("fd00:1::ff00"),
            served: at("fd00:5::1"),
            routed: at("fd00:6::1"),
            via: at("fd00:8::1"),
            dropped_for_c: at("fd00:7::1"),
            elsewhere: at("2001:db8::9"),
            vip: at("fd00:97::10"),
            external: at("2001:db8:1::10"),
            group: at("ff02::fb"),
            nobody: at("::"),
            prefixes: [
                (TABLE_MAIN, "fd00:96::", 64, Path::Kernel),
                (TABLE_MAIN, "fd00:bad::", 48, Path::Drop),
                (TABLE_MAIN, "fd00:1::ff00", 120, Path::Local),
                (TABLE_MAIN, "fd00:5::", 48, Path::Host),
                (TABLE_MAIN, "fd00:6::", 48, Path::Router),
                (TABLE, "fd00:7::", 48, Path::Drop),
                (TABLE, "fd00:1::12", 128, Path::Drop),
                (TABLE_MAIN, "fd00:1::22", 128, Path::Router),
            ],
            next_hop: ("fd00:8::", 48, "fd00::fe"),
        },
    ]
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// By the programs that translate packets for Services.
    pub(crate) packets: bool,
    pub(crate) arrival: Arrival,
    pub(crate) outcome: Outcome,
    /// The counters that move, as text: "egress local endpoint", "a sent", "b received".
    pub(crate) moves: Vec<String>,
}

/// The programs, and the tables that they and the oracle share.
pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) parents: [u32; 2],
    pub(crate) devices: [u32; 2],
    pub(crate) plain: Plain,
}

impl World {
    pub(crate) fn enter() -> Result<Self> {
        let room = Room::enter()?;
        let (parents, devices) = (room.parents, room.devices);
        let mut kernel = Kernel::load(room, CAPACITY, CAPACITY)?;
        let plain = tables(&kernel.room);
        plain.load(&mut kernel.datapath)?;
        kernel.watch(SLOTS.map(|(_, slot)| slot).to_vec());
        Ok(Self { kernel, parents, devices, plain })
    }

    /// Has the other programs run, on tables that nothing has come by yet.
    pub(crate) fn turn_to(&mut self, packets: bool) -> Result<()> {
        if self.kernel.packets == packets {
            return Ok(());
        }
        self.kernel.packets = packets;
        self.plain.unload(&mut self.kernel.datapath)?;
        self.plain = tables(&self.kernel.room);
        self.plain.load(&mut self.kernel.datapath)
    }

    /// Runs a case on the kernel and on the oracle.
    pub(crate) fn check(&mut self, case: &Case) -> Result<(), String> {
        let error = |error: anyhow::Error| format!("{error:#}");
        self.turn_to(case.packets).map_err(error)?;
        let before = self.kernel.counters().map_err(error)?;
        let outcome = self.kernel.run(&case.arrival).map_err(error)?;
        let after = self.kernel.counters().map_err(error)?;
        let moved = moved(&before, &after);
        same("the kernel's outcome", &outcome, &case.outcome)?;
        let bytes = case.arrival.frame.len() as u64;
        let mut found: Vec<String> = moved.keys().map(|counter| self.name(counter)).collect();
        let mut expected = case.moves.clone();
        found.sort();
        expected.sort();
        same("the counters that moved", &found, &expected)?;
        for (counter, by) in &moved {
            same(&format!("{} moved by", self.name(counter)), by, &(1, bytes))?;
        }
        let mut counters = Counters::new();
        let oracle = oracle::expect(&self.plain, &case.arrival, &mut counters);
        same("the oracle's outcome", &oracle, &case.outcome)?;
        same("the oracle's counters", &counters, &moved)
    }

    fn name(&self, counter: &Counter) -> String {
        let slot =
            |slot: &u32| SLOTS.iter().find(|(_, it)| it == slot).map_or("?", |(name, _)| name);
        match counter {
            Counter::Received(it) => format!("{} received", slot(it)),
            Counter::Sent(it) => format!("{} sent", slot(it)),
            Counter::Verdict(key) => {
                let hook = netpath_common::Hook::from_u8(key.hook).map_or("?", |it| it.name());
                let path = Path::from_u8(key.path).map_or("?", Path::name);
                let reason =
                    netpath_common::Reason::from_u16(key.reason).map_or("?", |it| it.name());
                let parent = match key.parent {
                    0 => " of nobody",
                    parent if parent == self.parents[0] => "",
                    _ => " of parent 1",
                };
                format!("{hook} {path} {reason}{parent}")
            }
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}"))
}

fn tables(room: &Room) -> Plain {
    let mut plain = Plain::default();
    let parents = room.parents;
    for family in families() {
        let [a, b, c, d, e, f, g, h, p, q, l, x] = SLOTS.map(|(_, slot)| slot);
        let pod = room.pod.number;
        let endpoints = [
            (family.a, 0, a, TABLE_MAIN, pod, 0),
            (family.b, 0, b, TABLE_MAIN, pod, FLAG_ROUTED),
            (family.c, 0, c, TABLE, pod, 0),
            (family.d, 1, d, TABLE_MAIN, pod, 0),
            (family.e, 0, e, TABLE_MAIN, ANOTHER, 0),
            (family.f, 1, f, TABLE_MAIN, ANOTHER, 0),
        ];
        for (address, parent, slot, table, namespace, flags) in endpoints {
            let endpoint = Endpoint {
                parent: parents[parent],
                slot,
                table,
                namespace,
                device: 0,
                mac: PARENT[parent],
                attachment: Attachment::IpvlanL2 as u8,
                flags,
            };
            plain.endpoints.insert(address.into(), endpoint);
        }
        let own = Endpoint {
            parent: parents[0],
            slot: g,
            table: TABLE_MAIN,
            namespace: pod,
            device: 0,
            mac: MACVLAN,
            attachment: Attachment::Macvlan as u8,
            flags: 0,
        };
        plain.endpoints.insert(family.g.into(), own);
        let switched = Endpoint { parent: parents[1], slot: h, mac: MACVLAN2, ..own };
        plain.endpoints.insert(family.h.into(), switched);
        for (address, slot, device, flags) in [(family.p, p, 0, 0), (family.q, q, 1, FLAG_STACK)] {
            let endpoint = Endpoint {
                slot,
                device: room.devices[device],
                mac: VETH[device],
                attachment: Attachment::PolicyRoute as u8,
                flags,
                ..own
            };
            plain.endpoints.insert(address.into(), endpoint);
        }
        let silent =
            Endpoint { slot: l, mac: PARENT[0], attachment: Attachment::IpvlanL3 as u8, ..own };
        plain.endpoints.insert(family.l.into(), silent);
        let exclusive = Endpoint {
            parent: 0,
            slot: x,
            device: room.devices[1],
            mac: VETH[1],
            attachment: Attachment::Exclusive as u8,
            flags: FLAG_STACK | FLAG_ROUTED,
            ..own
        };
        plain.endpoints.insert(family.x.into(), exclusive);
        for address in [family.host, family.service] {
            let host = Endpoint {
                slot: NO_SLOT,
                table: TABLE_MAIN,
                namespace: room.node.number,
                flags: FLAG_NODE_PORTS,
                ..Endpoint::default()
            };
            plain.endpoints.insert(address.into(), host);
        }
        services::put(&mut plain, &family);
        let at = |text: &str| Address::from(text.parse::<IpAddr>().expect("address"));
        for (table, prefix, length, path) in family.prefixes {
            let key = RouteKey::prefix(table, at(prefix), length);
            plain.route(key, Route::new(&key, path));
        }
        let (prefix, length, next_hop) = family.next_hop;
        let key = RouteKey::prefix(TABLE_MAIN, at(prefix), length);
        plain.route(key, Route::new(&key, Path::Router).via(at(next_hop)));
    }
    // IPv6's, and nobody's: IPv4 addresses in their mapped form have its bits, as those of ::/0.
    let mapped: IpAddr = "::8000:0:0".parse().expect("address");
    let key = RouteKey::prefix(TABLE_MAIN, mapped.into(), 81);
    plain.route(key, Route::new(&key, Path::Drop));
    plain.namespaces.extend([room.pod.number, ANOTHER]);
    parents_and_node(&mut plain, parents);
    plain
}

fn parents_and_node(plain: &mut Plain, parents: [u32; 2]) {
    // To whom the first one sends is known by IPv4.
    let subnet = Prefix::new(Address::v4([10, 0, 1, 0]), 24);
    let first = Parent {
        subnets: [subnet, Prefix::default(), Prefix::default(), Prefix::default()],
        routers: [Address::v4([10, 0, 1, 1]), Address::UNSPECIFIED],
        own: families().map(|family| family.host.into()),
        mac: PARENT[0],
        flags: 0,
    };
    let flags = FLAG_DRIVER | FLAG_XDP_NATIVE;
    let second = Parent { mac: PARENT[1], flags, ..Parent::default() };
    plain.parents.extend([(parents[0], first), (parents[1], second)]);
    let node_ports = services::NODE_PORTS;
    plain.node = Node { entry: ENTRY, entry_mac: ENTRY_MAC, flags: FLAG_BLACKHOLES, node_ports };
}
