//! Adding and removing rules.

use netpath_common::MARK_REDIRECTED;
use rtnetlink::packet_route::{
    AddressFamily,
    rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage},
};

use super::Rule;
use crate::netlink::{Error, Netlink, route::PROTOCOL};

impl Netlink {
    /// Adds a rule; one that is there already is no error.
    pub async fn add_rule(&self, rule: &Rule) -> Result<(), Error> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = message(rule);
        let added = request.execute().await.map_err(Error::request(|| describe("add", rule)));
        match added {
            Err(error) if error.errno() == Some(nix::libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// Removes a rule; one that is gone already is no error.
    pub async fn delete_rule(&self, rule: &Rule) -> Result<(), Error> {
        let request = self.handle.rule().del(message(rule));
        let deleted = request.execute().await.map_err(Error::request(|| describe("remove", rule)));
        match deleted {
            Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(()),
            other => other,
        }
    }
}

fn describe(verb: &str, rule: &Rule) -> String {
    let Rule { ipv6: _, priority, source, destination, mark, table, unmarked: _ } = rule;
    let from = source.map_or_else(|| "all".to_owned(), |source| source.to_string());
    let to = destination.map(|destination| format!(" to {destination}")).unwrap_or_default();
    let marked = mark.map(|mark| format!(" fwmark {mark:#x}")).unwrap_or_default();
    format!("{verb} the rule {priority}: from {from}{to}{marked} lookup {table}")
}

fn message(rule: &Rule) -> RuleMessage {
    let Rule { ipv6, priority, source, destination, mark, table, unmarked } = *rule;
    let mut message = RuleMessage::default();
    message.header.family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.action = RuleAction::ToTable;
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(priority));
    attributes.push(RuleAttribute::Table(table));
    attributes.push(RuleAttribute::Protocol(PROTOCOL));
    if unmarked {
        message.header.flags.insert(RuleFlags::Invert);
        attributes.push(RuleAttribute::FwMark(MARK_REDIRECTED));
        attributes.push(RuleAttribute::FwMask(u32::MAX));
    }
    if let Some(source) = source {
        message.header.src_len = source.prefix_len();
        attributes.push(RuleAttribute::Source(source.addr()));
    }
    if let Some(destination) = destination {
        message.header.dst_len = destination.prefix_len();
        attributes.push(RuleAttribute::Destination(destination.addr()));
    }
    attributes.extend(mark.map(RuleAttribute::FwMark));
    message
}
