//! Listing rules.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::{
    IpVersion,
    packet_route::{
        AddressFamily,
        rule::{RuleAttribute, RuleFlags, RuleMessage},
    },
};

use super::Rule;
use crate::netlink::{Error, Netlink, route::PROTOCOL};

impl Netlink {
    /// The rules that bear our mark, of both families.
    pub async fn rules(&self) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let messages: Vec<RuleMessage> = self
                .handle
                .rule()
                .get(version)
                .execute()
                .try_collect()
                .await
                .map_err(Error::request(|| "list the rules".to_owned()))?;
            rules.extend(messages.iter().filter_map(read));
        }
        Ok(rules)
    }
}

fn read(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let ipv6 = header.family == AddressFamily::Inet6;
    let unmarked = header.flags.contains(RuleFlags::Invert);
    let mut rule = Rule { unmarked, ..Rule::for_all(ipv6, 0, header.table.into()) };
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => ours = *protocol == PROTOCOL,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(address) => rule.source = prefix(*address, header.src_len),
            RuleAttribute::Destination(address) => {
                rule.destination = prefix(*address, header.dst_len);
            }
            RuleAttribute::FwMark(mark) if !unmarked => rule.mark = Some(*mark),
            _ => {}
        }
    }
    ours.then_some(rule)
}

fn prefix(address: IpAddr, length: u8) -> Option<IpNet> {
    IpNet::new(address, length).ok()
}
