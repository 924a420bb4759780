//! Services as iptables has them, by the kernel's nftables.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::services::{MASQUERADE, Services, Translation};
use crate::sandbox::{address::Family, command, namespace::Namespace};

/// Writes them. Packets that conntrack can make nothing of are counted and dropped; of what the node
/// sends, redirects of IPv6 are always such. Resets are not counted: on a slow machine the last packet of
/// a connection is sent twice now and then, and who has closed it by then answers with one.
pub(super) fn set_up(node: &Namespace, services: &Services) -> Result<()> {
    for family in Family::BOTH {
        let rules = rules(services, family)?;
        command::run_with_input(&mut tool(node, family, "restore"), &rules)?;
    }
    Ok(())
}

fn rules(services: &Services, family: Family) -> Result<String> {
    let mut rules = "*nat
:KUBE - [0:0]
-A PREROUTING -j KUBE
-A OUTPUT -j KUBE\n"
        .to_owned();
    for translation in services.translations.iter().filter(|it| it.family == family) {
        let Translation { family: _, proto, address, port, backend, masquerade } = translation;
        let to = match address {
            Some(address) => format!("-d {address}"),
            None => "-m addrtype --dst-type LOCAL".to_owned(),
        };
        let what = format!("-A KUBE {to} -p {proto} -m {proto} --dport {port}");
        if *masquerade {
            writeln!(rules, "{what} -j MARK --set-xmark {MASQUERADE}/{MASQUERADE}")?;
        }
        writeln!(rules, "{what} -j DNAT --to-destination {backend}")?;
    }
    writeln!(rules, "-A POSTROUTING -m mark --mark {MASQUERADE}/{MASQUERADE} -j MASQUERADE")?;
    let same = |own: &&std::net::IpAddr| own.is_ipv4() == (family == Family::Ipv4);
    for own in services.backends.iter().filter(same) {
        let itself = format!("-A POSTROUTING -s {own} -d {own}");
        writeln!(rules, "{itself} -m conntrack --ctstate DNAT -j MASQUERADE")?;
    }
    rules += "COMMIT
*filter
-A INPUT -p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate INVALID -j DROP
-A FORWARD -p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate INVALID -j DROP
-A OUTPUT -p tcp -m tcp --tcp-flags RST RST -m conntrack --ctstate INVALID -j DROP
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A OUTPUT -p tcp -m conntrack --ctstate INVALID -j DROP
-A OUTPUT -p udp -m conntrack --ctstate INVALID -j DROP
COMMIT\n";
    Ok(rules)
}

/// Packets that conntrack could make nothing of.
pub(super) fn invalid(node: &Namespace) -> Result<u64> {
    let (mut packets, mut rules) = (0, 0);
    for family in Family::BOTH {
        // `[PACKETS:BYTES] -A CHAIN ...`
        let text = command::run(tool(node, family, "save").args(["-c", "-t", "filter"]))?;
        let counts = |line: &&str| line.contains("INVALID") && !line.contains("RST");
        for line in text.lines().filter(counts) {
            let count = line.strip_prefix('[').and_then(|line| line.split(':').next());
            packets +=
                count.and_then(|count| count.parse::<u64>().ok()).context(line.to_owned())?;
            rules += 1;
        }
    }
    ensure!(rules == 8, "{rules} rules count");
    Ok(packets)
}

/// `iptables-restore` and the like, whatever these names stand for on this machine.
fn tool(node: &Namespace, family: Family, verb: &str) -> Command {
    let name = match family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    };
    let mut command = node.command("xtables-nft-multi");
    command.arg(format!("{name}-{verb}"));
    command
}
