//! Endpoints and routes that come and go at random, and rules and routes of ours that somebody removes
//! from the host stack: the maps, the rules and the tables are what the sum of it asks for.
//!
//! What there should be is worked out here, apart from the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, LpmTrie, Map, MapData};
use fastrand::Rng;
use ipnet::IpNet;
use netpath_common::{
    ABI, Address, Attachment, Endpoint, MARK_REDIRECTED, Path, Route, RouteKey,
    endpoint::FLAG_STACK,
    route::{RouteData, TABLE_MAIN},
};
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, Subnet},
    agent::Settings,
    command,
    fabric::{Fabric, Plan, SEGMENTS, nic, subnet},
    namespace::Namespace,
    wait,
};

/// In the running kernel: emulated, it would take minutes.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::own("native::random", random)]
}

const OPERATIONS: u32 = 1000;
/// Operations between two comparisons.
const STEP: u32 = 100;
/// Pods that come and go.
const PLACES: usize = 10;
/// What was removed is back.
const REPAIR: Duration = Duration::from_secs(10);

/// Tables that endpoints and routes are of.
const TABLES: [u32; 4] = [TABLE_MAIN, TABLE_MAIN, 100, 200];

/// Rules of the configuration.
const RULES: &str = r#"
[[rule]]
from = "10.0.11.64/26"
table = 100
[[rule]]
from = "fd00:11::/64"
table = 200
[[rule]]
to = "10.60.1.0/24"
table = 200
[[rule]]
to = "fd00:60:2::/48"
table = 100
[[rule]]
mark = 16
table = 200
"#;
const BY_SOURCE: [(&str, u32); 2] = [("10.0.11.64/26", 100), ("fd00:11::/64", 200)];
const BY_DESTINATION: [(&str, u32); 2] = [("10.60.1.0/24", 200), ("fd00:60:2::/48", 100)];

/// Protocol number of ours.
const PROTOCOL: &str = "110";

/// A pod as it was asked for.
#[derive(Clone, Debug)]
struct Wanted {
    segment: usize,
    attachment: &'static str,
    address: Dual,
    table: u32,
}

/// Where a route was asked to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    path: Path,
    /// The next hops, and the segment that they are on.
    via: Vec<IpAddr>,
    segment: usize,
}

/// A rule: IPv6, priority, what it goes by, table.
type KernelRule = (bool, u64, String, String);
/// A route: IPv6, table, destination, and the way: its type, device and gateway.
type KernelRoute = (bool, String, String, String);

#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    rules: BTreeSet<KernelRule>,
    routes: BTreeSet<KernelRoute>,
    /// By address: attachment, parent, device, flags, table.
    endpoints: BTreeMap<IpAddr, (u8, u32, bool, u8, u32)>,
    /// By table and prefix: path, next hops.
    prefixes: BTreeMap<(u32, String), (u8, Vec<IpAddr>)>,
}

struct Run<'a> {
    fabric: &'a Fabric,
    ipvlan: bool,
    places: Vec<(Namespace, Option<Wanted>)>,
    /// By table and prefix.
    routes: BTreeMap<(u32, String), Way>,
    rng: Rng,
}

fn random(bench: &Bench) -> Result<Outcome> {
    let seed = bench.effort.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("random: seed {seed}");
    let fabric = Fabric::build(&bench.programs, Plan { more: RULES, ..Plan::default() })?;
    for pod in &fabric.pods {
        fabric.agents[pod.node].netpath(&["endpoint", "del", &pod.name])?;
    }
    let places = (0..PLACES).map(|place| {
        let name = format!("{}-{place}", fabric.nodes[0].namespace.name());
        let namespace = Namespace::create(&name)?;
        namespace.ip(&["link set lo up".to_owned()])?;
        Ok((namespace, None))
    });
    let mut run = Run {
        ipvlan: fabric.pods.iter().any(|pod| pod.sort.attachment == "ipvlan-l2"),
        fabric: &fabric,
        places: places.collect::<Result<_>>()?,
        routes: configured(),
        rng: Rng::with_seed(seed),
    };
    let mut done = BTreeMap::<&str, u32>::new();
    for number in 1..=OPERATIONS {
        let what = run.operation().with_context(|| format!("operation {number}, seed {seed}"))?;
        *done.entry(what).or_default() += 1;
        if number % STEP == 0 {
            let compared = run.compare().and_then(|()| run.ask());
            compared.with_context(|| format!("after operation {number}, seed {seed}"))?;
        }
    }
    eprintln!("random: {OPERATIONS} operations: {done:?}; rules, tables and maps agree");
    Ok(Outcome::Passed)
}

impl Run<'_> {
    fn operation(&mut self) -> Result<&'static str> {
        match self.rng.u32(..10) {
            0 => return self.remove_something(),
            1..5 => return self.change_route(),
            _ => {}
        }
        let place = self.rng.usize(..PLACES);
        let name = format!("r{place}");
        let agent = &self.fabric.agents[0];
        if self.places[place].1.take().is_some() {
            agent.netpath(&["endpoint", "del", &name])?;
            return Ok("endpoints removed");
        }
        let wanted = self.choose();
        let Wanted { segment, attachment, address, table } = &wanted;
        let (parent, netns) = (nic(*segment), self.places[place].0.path());
        let netns = netns.to_string_lossy();
        let (v4, v6) = (format!("{}/24", address.v4), format!("{}/64", address.v6));
        let table = table_name(*table);
        agent.netpath(&[
            "endpoint",
            "add",
            &name,
            "--netns",
            &netns,
            "--parent",
            &parent,
            "--attachment",
            attachment,
            "--address",
            &v4,
            "--address",
            &v6,
            "--table",
            &table,
        ])?;
        self.places[place].1 = Some(wanted);
        Ok("endpoints added")
    }

    /// Adds the route of some table and prefix, or removes it if it is there.
    fn change_route(&mut self) -> Result<&'static str> {
        let agent = &self.fabric.agents[0];
        let table = TABLES[self.rng.usize(..TABLES.len())];
        let (net, v4) = (self.rng.u8(1..6), self.rng.bool());
        let prefix = match (v4, self.rng.u8(..4)) {
            (true, 0) => "0.0.0.0/0".to_owned(),
            (true, 1) => format!("10.60.{net}.7/32"),
            (true, 2) => format!("10.60.{net}.0/24"),
            (true, _) => "10.60.0.0/16".to_owned(),
            (false, 0) => "::/0".to_owned(),
            (false, 1) => format!("fd00:60:{net}::7/128"),
            (false, 2) => format!("fd00:60:{net}::/48"),
            (false, _) => "fd00:60::/32".to_owned(),
        };
        let name = table_name(table);
        if self.routes.remove(&(table, prefix.clone())).is_some() {
            agent.netpath(&["route", "del", &prefix, "--table", &name])?;
            return Ok("routes removed");
        }
        let path = Path::ALL[self.rng.usize(..Path::ALL.len())];
        let segment = self.rng.usize(..SEGMENTS);
        let hops = if path == Path::Router { self.rng.u8(..4) } else { 0 };
        let first = self.rng.u8(200..210);
        let family = if v4 { Family::Ipv4 } else { Family::Ipv6 };
        let hop = |number| subnet(segment).host(first + number).of(family);
        let via: Vec<IpAddr> = (0..hops).map(hop).collect();
        let mut words = vec!["route", "add", &prefix, path.name(), "--table", &name];
        let addresses: Vec<String> = via.iter().map(ToString::to_string).collect();
        words.extend(addresses.iter().flat_map(|address| ["--via", address]));
        agent.netpath(&words)?;
        self.routes.insert((table, prefix), Way { path, via, segment });
        Ok("routes added")
    }

    /// An address that nobody has, now and then of another parent's subnet.
    fn choose(&mut self) -> Wanted {
        let segment = self.rng.usize(..SEGMENTS);
        let child = match segment {
            0 if self.ipvlan => "ipvlan-l2",
            1 => "macvlan",
            _ => "policy-route",
        };
        let attachment = if self.rng.bool() { child } else { "policy-route" };
        let table = TABLES[self.rng.usize(..TABLES.len())];
        let of = if self.rng.u32(..5) == 0 { self.rng.usize(..SEGMENTS) } else { segment };
        loop {
            let address = subnet(of).host(self.rng.u8(50..90));
            let taken = self.places.iter().flat_map(|(_, wanted)| wanted);
            if taken.into_iter().all(|other| other.address != address) {
                return Wanted { segment, attachment, address, table };
            }
        }
    }

    /// Removes a rule or a route of ours, behind the agent's back.
    fn remove_something(&mut self) -> Result<&'static str> {
        let kernel = self.kernel()?;
        let node = &self.fabric.nodes[0].namespace;
        let rule = self.rng.bool();
        if rule && !kernel.rules.is_empty() {
            let rules: Vec<&KernelRule> = kernel.rules.iter().collect();
            let (ipv6, priority, selector, table) = rules[self.rng.usize(..rules.len())];
            let family = if *ipv6 { "-6" } else { "-4" };
            // The agent may have been faster with a change of its own.
            let line = format!("{family} rule del pref {priority} from {selector} table {table}");
            let _ = ip(node, &line);
            return Ok("rules taken away");
        }
        if kernel.routes.is_empty() {
            return Ok("nothing to take away");
        }
        let routes: Vec<&KernelRoute> = kernel.routes.iter().collect();
        let (ipv6, table, destination, way) = routes[self.rng.usize(..routes.len())];
        let family = if *ipv6 { "-6" } else { "-4" };
        let kind = if way.contains("dev") { "unicast" } else { way };
        let _ = ip(node, &format!("{family} route del {kind} {destination} table {table}"));
        Ok("routes taken away")
    }

    /// Waits until all is as it should be.
    fn compare(&self) -> Result<()> {
        let expected = self.expected()?;
        let agreed = wait::until("the kernel agrees", REPAIR, || {
            Ok((self.kernel()? == expected).then_some(()))
        });
        if agreed.is_err() {
            let found = self.kernel()?;
            ensure!(found == expected, "expected {expected:?}\n   found {found:?}");
        }
        Ok(())
    }

    /// `netpath explain` says of every pod where the host stack would lead its packets elsewhere.
    fn ask(&mut self) -> Result<()> {
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
        let own = Some(table_of(wanted, from)).filter(|table| *table != TABLE_MAIN);
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

    fn expected(&self) -> Result<Kernel> {
        let mut kernel = Kernel::default();
        for segment in 1..SEGMENTS {
            let (table, device) = (table(segment), format!("dev {}", nic(segment)));
            let priority = 2130 + segment as u64;
            for family in Family::BOTH {
                let ipv6 = family == Family::Ipv6;
                for subnet in [nodes(segment), subnet(segment)] {
                    let prefix = subnet.prefix(family);
                    kernel.rules.insert((ipv6, priority, prefix.clone(), table.clone()));
                    kernel.routes.insert((ipv6, table.clone(), prefix, device.clone()));
                }
                let router = format!("{device} via {}", subnet(segment).gateway().of(family));
                kernel.routes.insert((ipv6, table.clone(), "default".into(), router));
            }
        }
        let index = |name: &str| {
            self.fabric.nodes[0].namespace.enter(|| Ok(if_nametoindex(name).unwrap_or(0)))
        };
        for (place, (_, wanted)) in self.places.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let Wanted { segment, attachment, address, table: _ } = wanted;
            let routed = *attachment == "policy-route";
            let device = if routed { self.device(place)? } else { nic(*segment) };
            let of = (0..SEGMENTS)
                .find(|it| subnet(*it).host(0).v4.octets()[2] == address.v4.octets()[2]);
            for family in Family::BOTH {
                let (ipv6, address) = (family == Family::Ipv6, address.of(family));
                let selector = format!("all not fwmark {MARK_REDIRECTED:#x}");
                kernel.rules.insert((ipv6, 2110, selector, PROTOCOL.into()));
                let way = format!("dev {device}");
                kernel.routes.insert((ipv6, PROTOCOL.into(), address.to_string(), way));
                let own = table_of(wanted, address);
                if own != TABLE_MAIN {
                    kernel.rules.insert((ipv6, 2115, address.to_string(), own.to_string()));
                }
                if of != Some(*segment) {
                    kernel.rules.insert((ipv6, 2120, address.to_string(), table(*segment)));
                }
                let kind = match *attachment {
                    "ipvlan-l2" => Attachment::IpvlanL2,
                    "macvlan" => Attachment::Macvlan,
                    _ => Attachment::PolicyRoute,
                };
                let flags = if routed && *segment == 2 { FLAG_STACK } else { 0 };
                let entry = (kind as u8, index(&nic(*segment))?, routed, flags, own);
                kernel.endpoints.insert(address, entry);
            }
        }
        for (prefix, table) in BY_DESTINATION {
            let selector = format!("all to {prefix}");
            kernel.rules.insert((prefix.contains(':'), 2117, selector, table.to_string()));
        }
        for ipv6 in [false, true] {
            kernel.rules.insert((ipv6, 2112, "all fwmark 0x10".into(), "200".into()));
        }
        kernel.prefixes = self.prefixes();
        for ((table, prefix), way) in &self.routes {
            if *table == TABLE_MAIN {
                continue;
            }
            let way = match way {
                Way { path: Path::Drop, .. } => "blackhole".to_owned(),
                Way { via, .. } if via.is_empty() => "throw".to_owned(),
                // The first parent's subnets are not configured: what is in none of the others' is its.
                Way { via, segment, .. } => {
                    let hops = via.iter().map(|via| format!("dev {} via {via}", nic(*segment)));
                    hops.collect::<Vec<_>>().join(", ")
                }
            };
            let destination = match &**prefix {
                "0.0.0.0/0" | "::/0" => "default",
                prefix => prefix.trim_end_matches("/32").trim_end_matches("/128"),
            };
            // Not every prefix of that length is a single address.
            let destination = if prefix == "fd00:60::/32" { prefix } else { destination };
            let entry = (prefix.contains(':'), table.to_string(), destination.to_owned(), way);
            kernel.routes.insert(entry);
        }
        Ok(kernel)
    }

    /// The prefixes of the map: rules by destination lay a part of their table over the main one.
    fn prefixes(&self) -> BTreeMap<(u32, String), (u8, Vec<IpAddr>)> {
        let way = |way: &Way| (way.path as u8, way.via.clone());
        let mut prefixes: BTreeMap<_, _> =
            self.routes.iter().map(|(place, asked)| (place.clone(), way(asked))).collect();
        for (to, table) in BY_DESTINATION {
            let to: IpNet = to.parse().expect("prefix");
            let mut laid = BTreeMap::<IpNet, (u8, &Way)>::new();
            for ((_, prefix), way) in self.routes.iter().filter(|((of, _), _)| *of == table) {
                let prefix: IpNet = prefix.parse().expect("prefix");
                let part = if to.contains(&prefix) { prefix } else { to };
                let length = prefix.prefix_len();
                let is_longer = laid.get(&part).is_none_or(|(other, _)| *other < length);
                if prefix.contains(&part) && is_longer {
                    laid.insert(part, (length, way));
                }
            }
            prefixes.retain(|(table, prefix), _| {
                let prefix: IpNet = prefix.parse().expect("prefix");
                *table != TABLE_MAIN || !laid.keys().any(|part| part.contains(&prefix))
            });
            prefixes.extend(
                laid.iter().map(|(part, (_, asked))| ((TABLE_MAIN, part.to_string()), way(asked))),
            );
        }
        prefixes
    }

    /// The device whose alias names a pod.
    fn device(&self, place: usize) -> Result<String> {
        let links = json(&self.fabric.nodes[0].namespace, &["-d", "-j", "link", "show"])?;
        let alias = format!("netpath:r{place}");
        let link = links.iter().find(|link| link["ifalias"] == *alias);
        let name = link.and_then(|link| link["ifname"].as_str());
        Ok(name.unwrap_or("missing").to_owned())
    }

    fn kernel(&self) -> Result<Kernel> {
        let node = &self.fabric.nodes[0].namespace;
        let mut kernel = Kernel::default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for (ipv6, family) in [(false, "-4"), (true, "-6")] {
            for rule in json(node, &[family, "-N", "-j", "rule", "show"])? {
                if rule["protocol"] != PROTOCOL {
                    continue;
                }
                let length = rule["srclen"].as_u64();
                let mut selector = match length {
                    Some(length) => format!("{}/{length}", text(&rule["src"])),
                    None => text(&rule["src"]),
                };
                if let Some(length) = rule["dstlen"].as_u64() {
                    write!(selector, " to {}/{length}", text(&rule["dst"]))?;
                }
                if let Some(mark) = rule["fwmark"].as_str() {
                    let not = if rule.get("not").is_some() { "not " } else { "" };
                    write!(selector, " {not}fwmark {mark}")?;
                }
                let priority = rule["priority"].as_u64().unwrap_or_default();
                kernel.rules.insert((ipv6, priority, selector, text(&rule["table"])));
            }
            let words = [family, "-N", "-j", "route", "show", "table", "all", "proto", PROTOCOL];
            for route in json(node, &words)? {
                let hop = |hop: &Value| match hop["gateway"].as_str() {
                    Some(gateway) => format!("dev {} via {gateway}", text(&hop["dev"])),
                    None => format!("dev {}", text(&hop["dev"])),
                };
                // Types are numbers as well.
                let way = match (route["type"].as_str(), route["nexthops"].as_array()) {
                    (Some("6"), _) => "blackhole".to_owned(),
                    (Some("9"), _) => "throw".to_owned(),
                    (_, Some(hops)) => hops.iter().map(hop).collect::<Vec<_>>().join(", "),
                    (_, None) => hop(&route),
                };
                let entry = (ipv6, text(&route["table"]), text(&route["dst"]), way);
                kernel.routes.insert(entry);
            }
        }
        let pins = self.fabric.agents[0].files.pins.join(format!("v{ABI}"));
        let map: HashMap<_, Address, Endpoint> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(pins.join("endpoints"))?))?;
        for entry in &map {
            let (address, endpoint) = entry?;
            let address = IpAddr::from(address);
            let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !endpoint.is_host() && !local {
                let Endpoint { attachment, parent, device, flags, table, .. } = endpoint;
                kernel.endpoints.insert(address, (attachment, parent, device != 0, flags, table));
            }
        }
        let map: LpmTrie<_, RouteData, Route> =
            LpmTrie::try_from(Map::LpmTrie(MapData::from_pin(pins.join("routes"))?))?;
        for entry in &map {
            let (key, route) = entry?;
            let RouteData { table, address } = key.data();
            let address = Address::v6(address);
            let length = RouteKey { prefix_len: key.prefix_len(), table, address }.length();
            let prefix = format!("{}/{length}", IpAddr::from(address));
            let hops = route.next_hops().map(IpAddr::from).collect();
            kernel.prefixes.insert((table, prefix), (route.path, hops));
        }
        Ok(kernel)
    }
}

/// The table of a pod's address.
fn table_of(wanted: &Wanted, address: IpAddr) -> u32 {
    let by = BY_SOURCE.iter().find(|(prefix, _)| holds(prefix, address));
    match (wanted.table, by) {
        (TABLE_MAIN, Some((_, table))) => *table,
        (own, _) => own,
    }
}

fn holds(prefix: &str, address: IpAddr) -> bool {
    prefix.parse::<IpNet>().is_ok_and(|prefix| prefix.contains(&address))
}

/// The routes of the configuration.
fn configured() -> BTreeMap<(u32, String), Way> {
    let kernel = Way { path: Path::Kernel, via: Vec::new(), segment: 0 };
    let routes = Settings::default().routes.into_iter();
    routes.map(|(prefix, _)| ((TABLE_MAIN, prefix), kernel.clone())).collect()
}

fn table_name(table: u32) -> String {
    if table == TABLE_MAIN { "main".to_owned() } else { table.to_string() }
}

fn table(segment: usize) -> String {
    if segment == 0 { "254".to_owned() } else { (1000 + segment).to_string() }
}

fn nodes(segment: usize) -> Subnet {
    [Subnet::NODES, Subnet::NODES2, Subnet::NODES3, Subnet::NODES4][segment]
}

fn ip(node: &Namespace, line: &str) -> Result<String> {
    command::run(node.command("ip").args(line.split(' ')))
}

fn json(node: &Namespace, words: &[&str]) -> Result<Vec<Value>> {
    let text = command::run(node.command("ip").args(words))?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).with_context(|| format!("ip {words:?}: {text}"))
}
