//! What the kernel should have, worked out from what was asked for, apart from the agent.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use ipnet::IpNet;
use netpath_common::{Attachment, MARK_REDIRECTED, Path, endpoint::FLAG_STACK, route::TABLE_MAIN};
use nix::net::if_::if_nametoindex;

use super::{
    Run,
    asked::{BY_DESTINATION, Wanted, Way},
    found::{self, Kernel, PROTOCOL},
};
use crate::sandbox::{
    address::{Family, Subnet},
    fabric::{SEGMENTS, nic, subnet},
};

impl Run<'_> {
    pub(super) fn expected(&self) -> Result<Kernel> {
        let mut kernel = Kernel { prefixes: self.prefixes(), ..Kernel::default() };
        parents(&mut kernel);
        rules(&mut kernel);
        self.pods(&mut kernel)?;
        self.mirrors(&mut kernel);
        Ok(kernel)
    }

    /// Their entries, and what leads the host stack to them.
    fn pods(&self, kernel: &mut Kernel) -> Result<()> {
        let node = &self.fabric.nodes[0].namespace;
        let index = |name: &str| node.enter(|| Ok(if_nametoindex(name).unwrap_or(0)));
        for (place, (_, wanted)) in self.places.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let Wanted { segment, attachment, address, table: _ } = wanted;
            let routed = *attachment == "policy-route";
            let device =
                if routed { found::device(node, &format!("r{place}"))? } else { nic(*segment) };
            let of = (0..SEGMENTS)
                .find(|it| subnet(*it).host(0).v4.octets()[2] == address.v4.octets()[2]);
            for family in Family::BOTH {
                let (ipv6, address) = (family == Family::Ipv6, address.of(family));
                let selector = format!("all not fwmark {MARK_REDIRECTED:#x}");
                kernel.rules.insert((ipv6, 2110, selector, PROTOCOL.into()));
                let way = format!("dev {device}");
                kernel.routes.insert((ipv6, PROTOCOL.into(), address.to_string(), way));
                if routed && ipv6 {
                    kernel.proxies.insert((nic(*segment), address.to_string()));
                }
                let own = wanted.table_of(address);
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
        Ok(())
    }

    /// The host stack's copies of routes that are of other tables than the main one.
    fn mirrors(&self, kernel: &mut Kernel) {
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
}

/// What leads answers out by the parents beside the first one.
fn parents(kernel: &mut Kernel) {
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
}

/// The rules of the configuration by destination, and by mark.
fn rules(kernel: &mut Kernel) {
    for (prefix, table) in BY_DESTINATION {
        let selector = format!("all to {prefix}");
        kernel.rules.insert((prefix.contains(':'), 2117, selector, table.to_string()));
    }
    for ipv6 in [false, true] {
        kernel.rules.insert((ipv6, 2112, "all fwmark 0x10".into(), "200".into()));
    }
}

fn table(segment: usize) -> String {
    if segment == 0 { "254".to_owned() } else { (1000 + segment).to_string() }
}

fn nodes(segment: usize) -> Subnet {
    [Subnet::NODES, Subnet::NODES2, Subnet::NODES3, Subnet::NODES4][segment]
}
