//! Services as kube-proxy has them in netfilter, as far as they cost something.

use std::{fmt::Write as _, net::Ipv4Addr, process::Command};

use anyhow::Result;

use super::PORT;
use crate::sandbox::{command, namespace::Namespace};

/// A Service's address, and who answers.
pub(super) type Lead = (Ipv4Addr, Vec<Ipv4Addr>);

const PROTOCOLS: [&str; 2] = ["tcp", "udp"];
/// Elements in one command.
const ELEMENTS: usize = 1_000;

/// One lookup in a map for all of them, and a chain each.
pub(super) fn nftables(node: &Namespace, leads: &[Lead]) -> Result<()> {
    let mut rules = "table ip bench
    delete table ip bench
    table ip bench {
        map services { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
        .to_owned();
    for (number, (_, backends)) in leads.iter().enumerate() {
        let backends: Vec<_> =
            backends.iter().enumerate().map(|(place, own)| format!("{place} : {own}")).collect();
        let (count, backends) = (backends.len(), backends.join(", "));
        writeln!(rules, "chain service-{number} {{")?;
        writeln!(rules, "dnat to numgen random mod {count} map {{ {backends} }}\n}}")?;
    }
    rules += "chain output {
            type nat hook output priority -100;
            ip daddr . meta l4proto . th dport vmap @services
        }
    }\n";
    for (chunk, leads) in leads.chunks(ELEMENTS).enumerate() {
        let elements = (chunk * ELEMENTS..).zip(leads).flat_map(|(number, (address, _))| {
            PROTOCOLS.map(|proto| format!("{address} . {proto} . {PORT} : goto service-{number}"))
        });
        let elements: Vec<_> = elements.collect();
        writeln!(rules, "add element ip bench services {{ {} }}", elements.join(", "))?;
    }
    command::run_with_input(node.command("nft").args(["-f", "-"]), &rules)?;
    Ok(())
}

/// One rule after the other, and a chain each.
pub(super) fn iptables(node: &Namespace, leads: &[Lead]) -> Result<()> {
    let mut rules = "*nat\n:SERVICES - [0:0]\n".to_owned();
    for number in 0..leads.len() {
        writeln!(rules, ":SERVICE-{number} - [0:0]")?;
    }
    rules += "-A OUTPUT -j SERVICES\n";
    for (number, (address, backends)) in leads.iter().enumerate() {
        for proto in PROTOCOLS {
            let what = format!("-d {address}/32 -p {proto} -m {proto} --dport {PORT}");
            writeln!(rules, "-A SERVICES {what} -j SERVICE-{number}")?;
            for (place, own) in backends.iter().enumerate() {
                // Of those that are left, each as often as the others.
                let left = backends.len() - place;
                let chance = match left {
                    1 => String::new(),
                    left => {
                        let share = 1.0 / f64::from(u32::try_from(left)?);
                        format!("-m statistic --mode random --probability {share:.5} ")
                    }
                };
                let to = format!("-j DNAT --to-destination {own}:{PORT}");
                writeln!(rules, "-A SERVICE-{number} -p {proto} {chance}{to}")?;
            }
        }
    }
    rules += "COMMIT\n";
    let restore: &mut Command = &mut node.command("xtables-nft-multi");
    command::run_with_input(restore.arg("iptables-restore"), &rules)?;
    Ok(())
}
