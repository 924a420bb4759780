//! Services as nftables has them.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::services::{MASQUERADE, Services, Translation};
use crate::sandbox::{address::Family, command, namespace::Namespace};

/// Writes them. Packets that conntrack can make nothing of are counted and dropped; of what the node
/// sends, redirects of IPv6 are always such. Resets are not counted, see `iptables`.
pub(super) fn set_up(node: &Namespace, services: &Services) -> Result<()> {
    let (mut destination, mut source) = (String::new(), String::new());
    for translation in &services.translations {
        let Translation { family, proto, address, port, backend, masquerade } = translation;
        let (ip, version) = match family {
            Family::Ipv4 => ("ip", "ipv4"),
            Family::Ipv6 => ("ip6", "ipv6"),
        };
        let to = match address {
            Some(address) => format!("{ip} daddr {address}"),
            None => format!("meta nfproto {version} fib daddr type local"),
        };
        let mark = if *masquerade { format!("meta mark set {MASQUERADE} ") } else { String::new() };
        writeln!(destination, "{to} {proto} dport {port} {mark}dnat {ip} to {backend}")?;
    }
    for own in &services.backends {
        let ip = if own.is_ipv4() { "ip" } else { "ip6" };
        writeln!(source, "{ip} saddr {own} {ip} daddr {own} ct status dnat masquerade")?;
    }
    let rules = format!(
        "table inet kube {{
            counter invalid {{ }}
            chain prerouting {{ type nat hook prerouting priority dstnat;\n{destination}\n}}
            chain output {{ type nat hook output priority -100;\n{destination}\n}}
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                meta mark and {MASQUERADE} == {MASQUERADE} masquerade
                {source}
            }}
            chain input {{
                type filter hook input priority filter;
                tcp flags & rst == rst ct state invalid drop
                ct state invalid counter name invalid drop
            }}
            chain forward {{
                type filter hook forward priority filter;
                tcp flags & rst == rst ct state invalid drop
                ct state invalid counter name invalid drop
            }}
            chain sent {{
                type filter hook output priority filter;
                tcp flags & rst == rst ct state invalid drop
                meta l4proto {{ tcp, udp }} ct state invalid counter name invalid drop
            }}
        }}\n"
    );
    command::run_with_input(node.command("nft").args(["-f", "-"]), &rules)?;
    Ok(())
}

/// Packets that conntrack could make nothing of.
pub(super) fn invalid(node: &Namespace) -> Result<u64> {
    let mut nft = node.command("nft");
    let text = command::run(nft.args(["-j", "list", "counter", "inet", "kube", "invalid"]))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let items = value["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    match items.iter().find_map(|item| item["counter"]["packets"].as_u64()) {
        Some(packets) => Ok(packets),
        None => bail!("no such counter: {text}"),
    }
}
