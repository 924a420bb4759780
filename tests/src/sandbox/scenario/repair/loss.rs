//! Everything that netpath installs, how to lose it, and how to see that it is back.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::sandbox::{
    command,
    host::{Host, MAPS},
    kernel,
    namespace::Namespace,
    topology::INTERFACE,
};

/// Something that can be lost.
#[derive(Debug)]
pub(super) struct Loss {
    /// What it is.
    pub(super) what: String,
    /// How it is lost.
    pub(super) how: How,
}

#[derive(Debug)]
pub(super) enum How {
    /// By a line for `ip`, in a namespace; what it shows contains the word as long as all is well.
    Ip { namespace: String, line: &'static str, look: &'static str, word: String },
    /// By another value of a setting.
    Setting { name: &'static str, value: &'static str, other: &'static str },
    /// By removing the pin of a link that netpath has at this hook.
    Link(&'static str),
    /// By `tc`; what a hook shows contains a program as long as all is well.
    Tc { line: &'static [&'static str], hooks: &'static [&'static str] },
    /// By removing a map's pin.
    Pin(&'static str),
    /// By deleting an entry of a map.
    Entry { map: &'static str, key: Value },
}

/// `ip` in the node: line, look, word.
const NODE: [(&str, &str, &str, &str); 6] = [
    ("link netpath0", "link del netpath0", "link show", "netpath0"),
    (
        "alias of netpath0",
        "link set netpath0 alias mine",
        "link show",
        "alias netpath kernel entry",
    ),
    ("MTU of netpath0", "link set netpath0 mtu 1500", "link show dev netpath0", "mtu 65535"),
    ("state of netpath0", "link set netpath0 down", "link show dev netpath0", ",UP"),
    (
        "address of netpath0",
        "addr del 169.254.0.41/32 dev netpath0",
        "addr show dev netpath0",
        "169.254.0.41/32",
    ),
    (
        "all addresses of netpath0",
        "addr flush dev netpath0",
        "addr show dev netpath0",
        "169.254.0.41/32",
    ),
];

const SETTINGS: [(&str, &str, &str); 3] = [
    ("ipv4/conf/netpath0/rp_filter", "2", "1"),
    ("ipv4/conf/netpath0/forwarding", "1", "0"),
    ("ipv6/conf/netpath0/forwarding", "1", "0"),
];

/// `ip` in the pod. Addresses are filled in: `V4`, `V6`, and `LL` for the link-local one.
const POD: [(&str, &str, &str, &str); 16] = [
    ("pod: link", "link del eth0", "link show", "eth0"),
    ("pod: state of the link", "link set eth0 down", "link show dev eth0", ",UP"),
    ("pod: alias", "link set eth0 alias mine", "link show dev eth0", "alias netpath:"),
    ("pod: MTU", "link set eth0 mtu 1400", "link show dev eth0", "mtu 1500"),
    ("pod: mode", "link set eth0 type ipvlan mode l3", "-d link show dev eth0", "mode l2"),
    ("pod: flag", "link set eth0 type ipvlan mode l2 private", "-d link show dev eth0", "vepa"),
    ("pod: IPv4 address", "addr del V4 dev eth0", "addr show dev eth0", "V4"),
    ("pod: IPv6 address", "addr del V6 dev eth0", "addr show dev eth0", "V6"),
    ("pod: link-local address", "addr del LL dev eth0", "addr show dev eth0", "LL"),
    ("pod: all addresses", "addr flush dev eth0", "addr show dev eth0", "V6"),
    ("pod: IPv4 default route", "route del default", "route", "default via 10.0.1.1"),
    ("pod: IPv6 default route", "-6 route del default", "-6 route", "default via fd00:1::1"),
    ("pod: IPv4 route", "route del 198.51.100.0/24", "route", "198.51.100.0/24"),
    ("pod: IPv4 subnet", "route del 10.0.1.0/24", "route", "10.0.1.0/24"),
    ("pod: IPv6 subnet", "-6 route del fd00:1::/64", "-6 route", "fd00:1::/64"),
    ("pod: IPv6 route", "-6 route del 2001:db8::/32", "-6 route", "2001:db8::/32"),
];

/// Only Linux 6.2 and later rename an interface that is up.
const NAME: (&str, &str, &str, &str) =
    ("pod: name of the link", "link set eth0 name eth7", "link show", " eth0@");

/// The agent's configuration has XDP as well.
const LINKS: [&str; 3] = ["ingress", "egress", "xdp"];

/// All maps.
const PINS: [&str; 10] = [
    "endpoints",
    "endpoint_heads",
    "namespaces",
    "routes",
    "parents",
    "node",
    "flows",
    "endpoint_flows",
    "counters",
    "endpoint_counters",
];

/// Everything.
pub(super) fn all(host: &Host, pod: &Namespace, attach: &str) -> Result<Vec<Loss>> {
    let mut losses = Vec::new();
    let mut add = |what: &str, how: How| losses.push(Loss { what: what.to_owned(), how });
    let node = host.node().namespace.name();
    for (what, line, look, word) in NODE {
        add(what, How::Ip { namespace: node.to_owned(), line, look, word: word.to_owned() });
    }
    for (name, value, other) in SETTINGS {
        add(&format!("sysctl {name}"), How::Setting { name, value, other });
    }
    for hook in if attach == "tcx" { LINKS.as_slice() } else { &LINKS[2..] } {
        add(&format!("link of {hook}"), How::Link(hook));
    }
    if attach != "tcx" {
        for hook in ["ingress", "egress"] {
            let line: &[_] = match hook {
                "ingress" => &["filter", "del", "dev", INTERFACE, "ingress"],
                _ => &["filter", "del", "dev", INTERFACE, "egress"],
            };
            add(&format!("filter {hook}"), How::Tc { line, hooks: &["ingress", "egress"] });
        }
        let line = &["qdisc", "del", "dev", INTERFACE, "clsact"];
        add("qdisc", How::Tc { line, hooks: &["ingress", "egress"] });
    }
    for map in PINS {
        add(&format!("pin of {map}"), How::Pin(map));
    }
    for map in MAPS {
        for key in host.keys(map)? {
            add(&format!("entry of {map}"), How::Entry { map, key });
        }
    }
    let name = kernel::at_least(6, 2)?.then_some(NAME);
    for (what, line, look, word) in POD.into_iter().chain(name) {
        let namespace = pod.name().to_owned();
        add(what, How::Ip { namespace, line, look, word: word.to_owned() });
    }
    Ok(losses)
}

/// A pod's addresses with their lengths.
#[derive(Debug)]
pub(super) struct Addresses {
    /// What stands for them in the lines.
    words: [(&'static str, String); 3],
}

impl Addresses {
    /// Of a pod that is as it should be.
    pub(super) fn of(pod: &Namespace) -> Result<Self> {
        let show = show(pod.name(), "addr show dev eth0")?;
        let find = |like: &str| {
            let mut words = show.split_whitespace();
            words.find(|word| word.starts_with(like)).map(str::to_owned).context(like.to_owned())
        };
        let words = [("V4", find("10.0.1.")?), ("V6", find("fd00:1::")?), ("LL", find("fe80:")?)];
        Ok(Self { words })
    }

    fn fill(&self, line: &str) -> String {
        self.words.iter().fold(line.to_owned(), |line, (word, address)| line.replace(word, address))
    }
}

impl Loss {
    /// Loses it.
    pub(super) fn lose(&self, host: &Host, addresses: &Addresses) -> Result<()> {
        match &self.how {
            How::Ip { namespace, line, .. } => {
                ip(namespace, &addresses.fill(line))?;
            }
            How::Setting { name, other, .. } => host.node().namespace.sysctl(&[(name, other)])?,
            How::Link(hook) => {
                let link = find(host, hook)?.with_context(|| format!("no link of {hook}"))?;
                fs::remove_file(link)?;
            }
            How::Tc { line, .. } => drop(host.tc(line)?),
            How::Pin(map) => fs::remove_file(host.pin(map))?,
            How::Entry { map, key } => host.delete_key(map, key)?,
        }
        Ok(())
    }

    /// Whether it is there.
    pub(super) fn is_there(&self, host: &Host, addresses: &Addresses) -> Result<bool> {
        match &self.how {
            How::Ip { namespace, look, word, .. } => {
                // What is asked for may not be there at all.
                Ok(show(namespace, look).is_ok_and(|text| text.contains(&addresses.fill(word))))
            }
            How::Setting { name, value, .. } => host.node().namespace.enter(|| {
                let path = PathBuf::from("/proc/sys/net").join(name);
                Ok(fs::read_to_string(path)?.trim() == *value)
            }),
            How::Link(hook) => Ok(find(host, hook)?.is_some()),
            How::Tc { hooks, .. } => {
                let mut there = true;
                for hook in *hooks {
                    let filters = host.tc(&["filter", "show", "dev", INTERFACE, hook]);
                    there &= filters.is_ok_and(|text| text.contains("netpath"));
                }
                Ok(there)
            }
            How::Pin(map) => Ok(host.pin(map).exists()),
            How::Entry { map, key } => Ok(host.keys(map)?.contains(key)),
        }
    }
}

fn find(host: &Host, hook: &str) -> Result<Option<PathBuf>> {
    let ending = format!("-{hook}");
    Ok(host.links()?.into_iter().find(|link| link.to_string_lossy().ends_with(&ending)))
}

fn show(namespace: &str, line: &str) -> Result<String> {
    ip(namespace, line)
}

fn ip(namespace: &str, line: &str) -> Result<String> {
    let text = command::run(Command::new("ip").args(["-n", namespace]).args(line.split(' ')))?;
    ensure!(!text.contains("Error"), "ip {line}: {text}");
    Ok(text)
}
