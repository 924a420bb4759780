//! Random tables, random frames: the programs against the oracle.

mod services;

use std::{net::IpAddr, time::Instant};

use anyhow::{Result, bail};
use fastrand::Rng;
use netpath_common::{
    Address, Attachment, Endpoint, Hook, MARK_REDIRECTED, Mac, Node, Parent, Path, Route, RouteKey,
    endpoint::{FLAG_ROUTED, FLAG_STACK, NO_SLOT},
    parent::{FLAG_DRIVER, FLAG_XDP_NATIVE},
    route::{MAX_HOPS, TABLE_MAIN},
};
use netpath_tests::program::{
    Arrival, Counters,
    frame::{self, ARP_REPLY, ARP_REQUEST, Ip},
    moved,
    plain::Plain,
    room::Room,
};

use crate::world::{ANOTHER, ENTRY, ENTRY_MAC, MACVLAN, PARENT, ROUTER, STRANGER, VETH, World};

/// Frames in all, unless `NETPATH_FUZZ_PACKETS` says otherwise.
const PACKETS: u64 = 1_000_000;
/// Frames per set of tables.
const ROUND: u64 = 2_000;

/// Runs the fuzzing. A difference names the seed of its round: with it in `NETPATH_FUZZ_SEED` and
/// 2000 in `NETPATH_FUZZ_PACKETS`, that round is run again.
pub(crate) fn run(world: &mut World) -> Result<()> {
    let seed = variable("NETPATH_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let packets = variable("NETPATH_FUZZ_PACKETS").unwrap_or(PACKETS);
    let started = Instant::now();
    eprintln!("fuzz: {packets} frames from seed {seed}");
    world.plain.unload(&mut world.kernel.datapath)?;
    let mut done = 0;
    for round in 0..packets.div_ceil(ROUND) {
        let seed = seed.wrapping_add(round);
        let frames = ROUND.min(packets - done);
        if let Err(error) = self::round(world, seed, frames) {
            bail!("NETPATH_FUZZ_SEED={seed} NETPATH_FUZZ_PACKETS={ROUND}: {error:#}");
        }
        done += frames;
    }
    eprintln!("fuzz: {done} frames, no difference, {:.1} s", started.elapsed().as_secs_f32());
    world.plain.load(&mut world.kernel.datapath)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs frames against one set of tables, and compares the counters at the end. If they differ,
/// it runs them again and compares after every frame: to read the maps takes far longer than to
/// run a program.
fn round(world: &mut World, seed: u64, frames: u64) -> Result<()> {
    if let Err(error) = compare(world, seed, frames, false) {
        compare(world, seed, frames, true)?;
        return Err(error);
    }
    Ok(())
}

fn compare(world: &mut World, seed: u64, frames: u64, each: bool) -> Result<()> {
    let Room { node, pod, parents, devices, .. } = &world.kernel.room;
    let namespaces = [node.number, pod.number];
    let (rng, parents, devices) = (Rng::with_seed(seed), *parents, *devices);
    let mut random = Random { rng, parents, devices, namespaces };
    // Half of them by the programs that know of no Services.
    world.kernel.packets = seed.is_multiple_of(2);
    let tables = random.tables(world.kernel.packets);
    tables.load(&mut world.kernel.datapath)?;
    world.kernel.watch(SLOTS.collect());
    let result = frames_agree(world, &mut random, &tables, frames, each);
    tables.unload(&mut world.kernel.datapath)?;
    result
}

fn frames_agree(
    world: &mut World,
    random: &mut Random,
    tables: &Plain,
    frames: u64,
    each: bool,
) -> Result<()> {
    let before = world.kernel.counters()?;
    let mut expected = Counters::new();
    for number in 0..frames {
        let mut arrival = random.arrival();
        while is_refused(&arrival) {
            arrival = random.arrival();
        }
        let outcome = world.kernel.run(&arrival)?;
        let oracle = services::expect(tables, &arrival, &outcome, &mut expected);
        if outcome != oracle {
            bail!("frame {number}: {arrival:02x?}\n kernel {outcome:02x?}\n oracle {oracle:02x?}");
        }
        if each || number + 1 == frames {
            let counted = moved(&before, &world.kernel.counters()?);
            if counted != expected {
                let only = |a: &Counters, b: &Counters| {
                    a.iter()
                        .filter(|(key, by)| b.get(key) != Some(by))
                        .map(|(key, _)| *key)
                        .collect::<Vec<_>>()
                };
                let (kernel, oracle) = (only(&counted, &expected), only(&expected, &counted));
                bail!(
                    "counters after frame {number}: {arrival:02x?}\n kernel {kernel:?}\n oracle {oracle:?}"
                );
            }
        }
    }
    Ok(())
}

/// Whether the kernel refuses to make an skb of the frame: test runs want whole IP headers there
/// (6.18). XDP gets to see such frames.
fn is_refused(arrival: &Arrival) -> bool {
    let least = match arrival.frame[12..14] {
        [0x08, 0x00] => 14 + 20,
        [0x86, 0xdd] => 14 + 40,
        _ => 14,
    };
    arrival.hook != Hook::Xdp && arrival.frame.len() < least
}

/// Slots of the endpoints.
const SLOTS: std::ops::Range<u32> = 0..24;

struct Random {
    rng: Rng,
    parents: [u32; 2],
    devices: [u32; 2],
    /// The node's and the pod's.
    namespaces: [u32; 2],
}

impl Random {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.u32(..one_in) == 0
    }

    /// An address from a small world, so that tables and frames often meet.
    fn address(&mut self, v4: bool) -> IpAddr {
        let (net, host) = (self.rng.u8(..4), self.rng.u8(..32));
        match (v4, self.rng.u8(..32)) {
            (true, 0) => [0; 4].into(),
            (true, 1) => [224, 0, 0, host].into(),
            (true, 2) => [255; 4].into(),
            (true, 3) => self.rng.u32(..).to_be_bytes().into(),
            (true, _) => [10, 0, net, host].into(),
            (false, 0) => [0; 16].into(),
            (false, 1) => [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host].into(),
            (false, 2) => [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, net, host].into(),
            (false, 3) => self.rng.u128(..).to_be_bytes().into(),
            (false, _) => [0xfd, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host].into(),
        }
    }

    fn mac(&mut self) -> Mac {
        let group = Mac::new([0x33, 0x33, 0, 0, 0, 1]);
        self.pick(&[
            PARENT[0],
            PARENT[0],
            PARENT[0],
            PARENT[1],
            PARENT[1],
            MACVLAN,
            MACVLAN,
            VETH[0],
            VETH[1],
            ROUTER,
            ROUTER,
            STRANGER,
            group,
            Mac::BROADCAST,
        ])
    }

    fn table(&mut self) -> u32 {
        self.pick(&[TABLE_MAIN, TABLE_MAIN, 100, 200])
    }

    /// The node's, the pod's, unknown, or one that no packet comes from.
    fn namespace(&mut self) -> u32 {
        let [node, pod] = self.namespaces;
        self.pick(&[node, pod, 0, ANOTHER])
    }

    fn tables(&mut self, packets: bool) -> Plain {
        let mut plain = Plain::default();
        for slot in SLOTS {
            let parent = self.rng.usize(..2);
            let table = self.table();
            let devices = self.devices;
            let (attachment, mac, device) = self.pick(&[
                (Attachment::IpvlanL2, PARENT[parent], 0),
                (Attachment::IpvlanL2, PARENT[parent], 0),
                (Attachment::IpvlanL3, PARENT[parent], 0),
                (Attachment::Macvlan, MACVLAN, 0),
                (Attachment::Exclusive, VETH[1], devices[1]),
                (Attachment::PolicyRoute, VETH[0], devices[0]),
                (Attachment::PolicyRoute, VETH[1], devices[1]),
            ]);
            let stack = if device != 0 && self.chance(4) { FLAG_STACK } else { 0 };
            for _ in 0..self.rng.usize(1..4) {
                let v4 = self.rng.bool();
                let endpoint = Endpoint {
                    parent: self.parents[parent],
                    slot,
                    table,
                    namespace: self.namespace(),
                    device,
                    mac,
                    attachment: attachment as u8,
                    flags: stack | if self.chance(4) { FLAG_ROUTED } else { 0 },
                };
                plain.endpoints.insert(self.address(v4).into(), endpoint);
            }
        }
        for _ in 0..8 {
            let v4 = self.rng.bool();
            let namespace = self.namespace();
            let host =
                Endpoint { slot: NO_SLOT, table: TABLE_MAIN, namespace, ..Endpoint::default() };
            plain.endpoints.insert(self.address(v4).into(), host);
        }
        let [node, pod] = self.namespaces;
        plain.namespaces.extend([pod, ANOTHER, node].into_iter().take(self.rng.usize(..4)));
        for _ in 0..self.rng.usize(..40) {
            self.route(&mut plain);
        }
        for (parent, ifindex) in self.parents.into_iter().enumerate() {
            let flags =
                self.pick(&[0, FLAG_DRIVER, FLAG_XDP_NATIVE, FLAG_DRIVER | FLAG_XDP_NATIVE]);
            let mut known = Parent { mac: PARENT[parent], flags, ..Parent::default() };
            for router in &mut known.routers {
                if self.rng.bool() {
                    let v4 = self.rng.bool();
                    *router = self.address(v4).into();
                }
            }
            for (own, v4) in known.own.iter_mut().zip([true, false]) {
                if self.rng.bool() {
                    *own = self.address(v4).into();
                }
            }
            plain.parents.insert(ifindex, known);
        }
        let entry = if self.chance(8) { 0 } else { ENTRY };
        let flags = u16::from(self.rng.bool());
        let node_ports = self.pick(&[[0, 0], [80, 80], [4_000, 30_000]]);
        plain.node = Node { entry, entry_mac: ENTRY_MAC, flags, node_ports };
        if packets {
            for _ in 0..self.rng.usize(..24) {
                self.service(&mut plain);
            }
        }
        plain
    }

    fn route(&mut self, plain: &mut Plain) {
        let v4 = self.rng.bool();
        let address = Address::from(self.address(v4));
        let longest = if address.is_v4() { 32 } else { 128 };
        let length = if self.chance(3) { longest } else { self.rng.u8(..=longest) };
        let bits = if address.is_v4() { u32::from(length) + 96 } else { u32::from(length) };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let prefix = u128::from_be_bytes(address.octets) & mask;
        let table = self.table();
        let prefix = Address::v6(prefix.to_be_bytes());
        let key = RouteKey { prefix_len: 32 + bits, table, address: prefix };
        let path = self.pick(&Path::ALL);
        let mut route = Route::new(&key, path);
        if path == Path::Router {
            for _ in 0..self.rng.usize(..=MAX_HOPS) {
                route = route.via(self.address(v4).into());
            }
        }
        plain.route(key, route);
    }

    fn arrival(&mut self) -> Arrival {
        let mut frame = self.frame();
        if self.chance(3) {
            self.mutate(&mut frame);
        }
        let hook = self.pick(&Hook::ALL);
        let (ifindex, namespace) = match hook {
            Hook::FromEndpoint | Hook::ToEndpoint => {
                (self.pick(&self.devices.clone()), self.namespaces[0])
            }
            _ => (self.pick(&self.parents.clone()), self.pick(&self.namespaces.clone())),
        };
        Arrival {
            hook,
            ifindex,
            forwarded: self.chance(4),
            namespace,
            mark: self.pick(&[0, 0, 0, 0x4000, MARK_REDIRECTED]),
            frame,
        }
    }

    fn frame(&mut self) -> Vec<u8> {
        let v4 = self.rng.bool();
        let (source, destination) = (self.address(v4), self.address(v4));
        let (to, from) = (self.mac(), self.mac());
        let ports = [80, 4000, 30_000];
        let (here, there) = (self.pick(&ports), self.pick(&ports));
        let ip = match self.rng.u8(..13) {
            0..8 => self.plain(source, destination, (here, there)),
            8 => Ip::new(source, destination, self.rng.u8(..), vec![self.rng.u8(..); 24]),
            9 => {
                // Who hears of it sent the packet.
                let receiver = self.address(v4);
                let about = self.plain(destination, receiver, (here, there));
                let about = self.shaped(about).bytes();
                let kind = self.pick(if v4 { &[3, 3, 5, 11, 12] } else { &[1, 2, 2, 3, 4] });
                let quoted = self.rng.usize(..=about.len());
                Ip::error(source, destination, kind, &about[..quoted])
            }
            _ if v4 => {
                let operation = self.pick(&[ARP_REQUEST, ARP_REQUEST, ARP_REPLY]);
                let claimed = if self.chance(4) { self.mac() } else { from };
                let asked = (self.mac(), destination);
                return frame::arp((to, from), operation, (claimed, source), asked);
            }
            _ => {
                let kind = self.pick(&[133, 134, 135, 135, 136, 136, 137]);
                let target = if self.rng.bool() { source } else { self.address(false) };
                let option = self.pick(&[None, Some(1), Some(2)]);
                let mac = if self.chance(4) { self.mac() } else { from };
                let option = option.map(|number| (number, mac));
                frame::discovery((source, destination), kind, target, option)
            }
        };
        let frame = self.shaped(ip).frame(to, from);
        match self.rng.u8(..20) {
            0 => frame::tagged(&frame, 7),
            1 => frame::tagged(&frame::tagged(&frame, 7), 8),
            2 => frame::ethernet(to, from, self.rng.u16(..), &frame[14..]),
            _ => frame,
        }
    }

    /// A packet of the usual protocols.
    fn plain(&mut self, source: IpAddr, destination: IpAddr, (here, there): (u16, u16)) -> Ip {
        match self.rng.u8(..8) {
            0..3 => {
                let flags = self.pick(&[16, 16, 2, 18, 17, 4]);
                Ip::tcp(source, destination, here, there).saying(flags)
            }
            3..6 => Ip::udp(source, destination, here, there),
            _ => Ip::echo(source, destination, here, self.rng.bool()),
        }
    }

    /// Now and then with options, extension headers, or as a fragment.
    fn shaped(&mut self, mut ip: Ip) -> Ip {
        if self.chance(6) {
            ip = ip.options(self.rng.usize(..11));
        }
        if self.chance(6) {
            let headers: Vec<u8> =
                (0..self.rng.usize(..11)).map(|_| self.pick(&[0, 43, 60, 135])).collect();
            ip = ip.extensions(&headers);
        }
        if self.chance(6) {
            ip = ip.fragment(self.rng.u16(..3), self.rng.bool());
        }
        ip
    }

    /// Changes bytes, cuts the frame, or makes it longer. The kernel takes no skb without a whole
    /// Ethernet header.
    fn mutate(&mut self, frame: &mut Vec<u8>) {
        match self.rng.u8(..4) {
            0 => frame.truncate(self.rng.usize(14..=frame.len())),
            1 => frame.resize(frame.len() + self.rng.usize(..40), 0),
            _ => {
                for _ in 0..self.rng.usize(1..4) {
                    // Headers are where it matters.
                    let at = self.rng.usize(..frame.len().min(128));
                    frame[at] = self.rng.u8(..);
                }
            }
        }
    }
}
