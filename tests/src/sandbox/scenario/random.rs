//! Endpoints and routes that come and go at random, and rules and routes of ours that somebody removes:
//! the maps, the rules and the tables are what the sum of it asks for.
//!
//! What there should be is worked out here, apart from the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use fastrand::Rng;
use netpath_common::{ABI, Address, Attachment, Endpoint, endpoint::FLAG_STACK};
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, Subnet},
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

/// Protocol number of ours.
const PROTOCOL: &str = "110";

/// A pod as it was asked for.
#[derive(Clone, Debug)]
struct Wanted {
    segment: usize,
    attachment: &'static str,
    address: Dual,
}

/// A rule: IPv6, priority, source, table.
type Rule = (bool, u64, String, String);
/// A route: IPv6, table, destination, device.
type Route = (bool, String, String, String);

#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    rules: BTreeSet<Rule>,
    routes: BTreeSet<Route>,
    /// By address: attachment, parent, device, flags.
    endpoints: BTreeMap<IpAddr, (u8, u32, bool, u8)>,
}

struct Run<'a> {
    fabric: &'a Fabric,
    ipvlan: bool,
    places: Vec<(Namespace, Option<Wanted>)>,
    rng: Rng,
}

fn random(bench: &Bench) -> Result<Outcome> {
    let seed = bench.effort.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("random: seed {seed}");
    let fabric =
        Fabric::build(&bench.programs, Plan { attach: "auto", swapped: false, all: false })?;
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
        rng: Rng::with_seed(seed),
    };
    let mut done = BTreeMap::<&str, u32>::new();
    for number in 1..=OPERATIONS {
        let what = run.operation().with_context(|| format!("operation {number}, seed {seed}"))?;
        *done.entry(what).or_default() += 1;
        if number % STEP == 0 {
            run.compare().with_context(|| format!("after operation {number}, seed {seed}"))?;
        }
    }
    eprintln!("random: {OPERATIONS} operations: {done:?}; rules, tables and maps agree");
    Ok(Outcome::Passed)
}

impl Run<'_> {
    fn operation(&mut self) -> Result<&'static str> {
        if self.rng.u32(..10) == 0 {
            return self.remove_something();
        }
        let place = self.rng.usize(..PLACES);
        let name = format!("r{place}");
        let agent = &self.fabric.agents[0];
        if self.places[place].1.take().is_some() {
            agent.netpath(&["endpoint", "del", &name])?;
            return Ok("removed");
        }
        let wanted = self.choose();
        let Wanted { segment, attachment, address } = &wanted;
        let (parent, netns) = (nic(*segment), self.places[place].0.path());
        let netns = netns.to_string_lossy();
        let (v4, v6) = (format!("{}/24", address.v4), format!("{}/64", address.v6));
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
        ])?;
        self.places[place].1 = Some(wanted);
        Ok("added")
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
        let of = if self.rng.u32(..5) == 0 { self.rng.usize(..SEGMENTS) } else { segment };
        loop {
            let address = subnet(of).host(self.rng.u8(50..90));
            let taken = self.places.iter().flat_map(|(_, wanted)| wanted);
            if taken.into_iter().all(|other| other.address != address) {
                return Wanted { segment, attachment, address };
            }
        }
    }

    /// Removes a rule or a route of ours, behind the agent's back.
    fn remove_something(&mut self) -> Result<&'static str> {
        let kernel = self.kernel()?;
        let node = &self.fabric.nodes[0].namespace;
        let rule = self.rng.bool();
        if rule && !kernel.rules.is_empty() {
            let rules: Vec<&Rule> = kernel.rules.iter().collect();
            let (ipv6, priority, source, table) = rules[self.rng.usize(..rules.len())];
            let family = if *ipv6 { "-6" } else { "-4" };
            // The agent may have been faster with a change of its own.
            let line = format!("{family} rule del pref {priority} from {source} table {table}");
            let _ = ip(node, &line);
            return Ok("rules taken away");
        }
        if kernel.routes.is_empty() {
            return Ok("nothing to take away");
        }
        let routes: Vec<&Route> = kernel.routes.iter().collect();
        let (ipv6, table, destination, device) = routes[self.rng.usize(..routes.len())];
        let family = if *ipv6 { "-6" } else { "-4" };
        let _ = ip(node, &format!("{family} route del {destination} dev {device} table {table}"));
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

    fn expected(&self) -> Result<Kernel> {
        let mut kernel = Kernel::default();
        for segment in 1..SEGMENTS {
            let (table, device) = (table(segment), nic(segment));
            let priority = 2130 + segment as u64;
            for family in Family::BOTH {
                let ipv6 = family == Family::Ipv6;
                for subnet in [nodes(segment), subnet(segment)] {
                    let prefix = subnet.prefix(family);
                    kernel.rules.insert((ipv6, priority, prefix.clone(), table.clone()));
                    kernel.routes.insert((ipv6, table.clone(), prefix, device.clone()));
                }
                kernel.routes.insert((ipv6, table.clone(), "default".into(), device.clone()));
            }
        }
        let index = |name: &str| {
            self.fabric.nodes[0].namespace.enter(|| Ok(if_nametoindex(name).unwrap_or(0)))
        };
        for (place, (_, wanted)) in self.places.iter().enumerate() {
            let Some(Wanted { segment, attachment, address }) = wanted else { continue };
            let routed = *attachment == "policy-route";
            let device = if routed { self.device(place)? } else { nic(*segment) };
            let of = (0..SEGMENTS)
                .find(|it| subnet(*it).host(0).v4.octets()[2] == address.v4.octets()[2]);
            for family in Family::BOTH {
                let (ipv6, address) = (family == Family::Ipv6, address.of(family));
                kernel.rules.insert((ipv6, 2110, "all".into(), PROTOCOL.into()));
                kernel.routes.insert((ipv6, PROTOCOL.into(), address.to_string(), device.clone()));
                if of != Some(*segment) {
                    kernel.rules.insert((ipv6, 2120, address.to_string(), table(*segment)));
                }
                let kind = match *attachment {
                    "ipvlan-l2" => Attachment::IpvlanL2,
                    "macvlan" => Attachment::Macvlan,
                    _ => Attachment::PolicyRoute,
                };
                let flags = if routed && *segment == 2 { FLAG_STACK } else { 0 };
                let entry = (kind as u8, index(&nic(*segment))?, routed, flags);
                kernel.endpoints.insert(address, entry);
            }
        }
        Ok(kernel)
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
                let source = match length {
                    Some(length) => format!("{}/{length}", text(&rule["src"])),
                    None => text(&rule["src"]),
                };
                let priority = rule["priority"].as_u64().unwrap_or_default();
                kernel.rules.insert((ipv6, priority, source, text(&rule["table"])));
            }
            let words = [family, "-N", "-j", "route", "show", "table", "all", "proto", PROTOCOL];
            for route in json(node, &words)? {
                let entry = (ipv6, text(&route["table"]), text(&route["dst"]), text(&route["dev"]));
                kernel.routes.insert(entry);
            }
        }
        let pin = self.fabric.agents[0].files.pins.join(format!("v{ABI}")).join("endpoints");
        let map: HashMap<_, Address, Endpoint> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(pin)?))?;
        for entry in &map {
            let (address, endpoint) = entry?;
            let address = IpAddr::from(address);
            let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !endpoint.is_host() && !local {
                let Endpoint { attachment, parent, device, flags, .. } = endpoint;
                kernel.endpoints.insert(address, (attachment, parent, device != 0, flags));
            }
        }
        Ok(kernel)
    }
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
