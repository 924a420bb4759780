//! What the node's kernel has: rules and routes of ours, as `ip` tells them, and the programs' maps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::maps::{LpmTrie, Map, MapData};
use netpath_common::{ABI, Address, Endpoint, Route, RouteKey, route::RouteData};
use serde_json::Value;

use crate::sandbox::{addresses::Addresses, command, namespace::Namespace};

/// Protocol number of ours.
pub(super) const PROTOCOL: &str = "110";

/// A rule: IPv6, priority, what it goes by, table.
pub(super) type KernelRule = (bool, u64, String, String);
/// A route: IPv6, table, destination, and the way: its type, device and gateway.
pub(super) type KernelRoute = (bool, String, String, String);

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) rules: BTreeSet<KernelRule>,
    pub(super) routes: BTreeSet<KernelRoute>,
    /// What NICs listen for in the place of pods: device and address.
    pub(super) proxies: BTreeSet<(String, String)>,
    /// By address: attachment, parent, device, flags, table.
    pub(super) endpoints: BTreeMap<IpAddr, (u8, u32, bool, u8, u32)>,
    /// By table and prefix: path, next hops.
    pub(super) prefixes: BTreeMap<(u32, String), (u8, Vec<IpAddr>)>,
}

impl Kernel {
    /// Reads it all; the maps are pinned below `pins`.
    pub(super) fn read(node: &Namespace, pins: &Path) -> Result<Self> {
        let mut kernel = Self::default();
        for (ipv6, family) in [(false, "-4"), (true, "-6")] {
            for rule in json(node, &[family, "-N", "-j", "rule", "show"])? {
                if rule["protocol"] == PROTOCOL {
                    kernel.rules.insert(read_rule(ipv6, &rule)?);
                }
            }
            let words = [family, "-N", "-j", "route", "show", "table", "all", "proto", PROTOCOL];
            kernel.routes.extend(json(node, &words)?.iter().map(|route| read_route(ipv6, route)));
        }
        for proxy in json(node, &["-6", "-N", "-j", "neigh", "show", "proxy"])? {
            if proxy["protocol"] == PROTOCOL {
                kernel.proxies.insert((text(&proxy["dev"]), text(&proxy["dst"])));
            }
        }
        kernel.read_endpoints(pins)?;
        kernel.read_prefixes(&pins.join(format!("v{ABI}")))?;
        Ok(kernel)
    }

    /// The endpoints' own addresses, without those that are of one link.
    fn read_endpoints(&mut self, pins: &Path) -> Result<()> {
        for (address, endpoint) in Addresses::open(pins)?.all()? {
            let address = IpAddr::from(address);
            let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !endpoint.is_host() && !local {
                let Endpoint { attachment, parent, device, flags, table, .. } = endpoint;
                self.endpoints.insert(address, (attachment, parent, device != 0, flags, table));
            }
        }
        Ok(())
    }

    fn read_prefixes(&mut self, pins: &Path) -> Result<()> {
        let map: LpmTrie<_, RouteData, Route> =
            LpmTrie::try_from(Map::LpmTrie(MapData::from_pin(pins.join("routes"))?))?;
        for entry in &map {
            let (key, route) = entry?;
            let RouteData { table, address } = key.data();
            let address = Address::v6(address);
            let length = RouteKey { prefix_len: key.prefix_len(), table, address }.length();
            let prefix = format!("{}/{length}", IpAddr::from(address));
            let hops = route.next_hops().map(IpAddr::from).collect();
            self.prefixes.insert((table, prefix), (route.path, hops));
        }
        Ok(())
    }
}

fn read_rule(ipv6: bool, rule: &Value) -> Result<KernelRule> {
    let mut selector = match rule["srclen"].as_u64() {
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
    Ok((ipv6, priority, selector, text(&rule["table"])))
}

fn read_route(ipv6: bool, route: &Value) -> KernelRoute {
    let hop = |hop: &Value| match hop["gateway"].as_str() {
        Some(gateway) => format!("dev {} via {gateway}", text(&hop["dev"])),
        None => format!("dev {}", text(&hop["dev"])),
    };
    // Types are numbers as well.
    let way = match (route["type"].as_str(), route["nexthops"].as_array()) {
        (Some("6"), _) => "blackhole".to_owned(),
        (Some("9"), _) => "throw".to_owned(),
        (_, Some(hops)) => hops.iter().map(hop).collect::<Vec<_>>().join(", "),
        (_, None) => hop(route),
    };
    (ipv6, text(&route["table"]), text(&route["dst"]), way)
}

/// The device whose alias names a pod.
pub(super) fn device(node: &Namespace, pod: &str) -> Result<String> {
    let links = json(node, &["-d", "-j", "link", "show"])?;
    let alias = format!("netpath:{pod}");
    let link = links.iter().find(|link| link["ifalias"] == *alias);
    let name = link.and_then(|link| link["ifname"].as_str());
    Ok(name.unwrap_or("missing").to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn json(node: &Namespace, words: &[&str]) -> Result<Vec<Value>> {
    let text = command::run(node.command("ip").args(words))?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).with_context(|| format!("ip {words:?}: {text}"))
}
