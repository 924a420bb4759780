//! Transactions: messages between a begin and an end.

use std::collections::BTreeMap;

use super::{
    super::{
        attribute::{attribute, nest, number, text},
        message::{APPEND, CREATE, REQUEST, message, with_resource},
    },
    CHAIN, Element, INET, MARK, Rule, SUBSYSTEM, Set, TABLE, Table, kind,
};

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END` (`linux/netfilter/nfnetlink.h`).
const BEGIN: u16 = 16;
const END: u16 = 17;

const NEW_TABLE: u16 = kind(0);
const DELETE_TABLE: u16 = kind(2);
const NEW_CHAIN: u16 = kind(3);
const NEW_RULE: u16 = kind(6);
const NEW_SET: u16 = kind(9);
const NEW_ELEMENTS: u16 = kind(12);
const DELETE_ELEMENTS: u16 = kind(14);

/// Elements a message: their list is one attribute, whose length is a number of 16 bits.
const ELEMENTS: usize = 1000;

/// `NF_INET_POST_ROUTING`, `NF_IP_PRI_NAT_SRC`, `NF_ACCEPT`.
const HOOK: u32 = 4;
const PRIORITY: u32 = 100;
const ACCEPT: u32 = 1;

/// Makes the table anew, whether it is there or not.
pub(super) fn replace(table: &Table) -> Vec<u8> {
    let Table { sets, rules } = table;
    let mut changes = vec![new_table(), delete_table(), new_table()];
    for (id, (name, set)) in (1..).zip(sets) {
        changes.push(new_set(name, set, id));
        changes.extend(elements(NEW_ELEMENTS, CREATE, name, set));
    }
    changes.push(new_chain());
    changes.extend(rules.iter().map(new_rule));
    batch(&changes)
}

/// Removes the table.
pub(super) fn remove() -> Vec<u8> {
    batch(&[delete_table()])
}

/// Puts elements into sets.
pub(super) fn add(sets: &BTreeMap<String, Set>) -> Vec<u8> {
    let all = sets.iter().flat_map(|(name, set)| elements(NEW_ELEMENTS, CREATE, name, set));
    batch(&all.collect::<Vec<_>>())
}

/// Takes elements out of sets.
pub(super) fn delete(sets: &BTreeMap<String, Set>) -> Vec<u8> {
    let all = sets.iter().flat_map(|(name, set)| elements(DELETE_ELEMENTS, 0, name, set));
    batch(&all.collect::<Vec<_>>())
}

fn batch(changes: &[Vec<u8>]) -> Vec<u8> {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let edge = |kind| with_resource(kind, REQUEST, [0, 0, high, low], &[]);
    [edge(BEGIN), changes.concat(), edge(END)].concat()
}

fn change(kind: u16, flags: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    message(kind, REQUEST | flags, INET, &attributes.concat())
}

fn new_table() -> Vec<u8> {
    change(NEW_TABLE, CREATE, &[text(1, TABLE), attribute(6, &comment(MARK))])
}

fn delete_table() -> Vec<u8> {
    change(DELETE_TABLE, 0, &[text(1, TABLE)])
}

fn new_set(name: &str, set: &Set, id: u32) -> Vec<u8> {
    change(NEW_SET, CREATE, &[text(1, TABLE), text(2, name), set.description(), number(10, id)])
}

/// The elements of a set, in as many messages as it takes.
fn elements(kind: u16, flags: u16, name: &str, set: &Set) -> Vec<Vec<u8>> {
    let all: Vec<_> = set.elements.iter().map(Element::write).collect();
    let message = |some: &[_]| change(kind, flags, &[text(1, TABLE), text(2, name), nest(3, some)]);
    all.chunks(ELEMENTS).map(message).collect()
}

fn new_chain() -> Vec<u8> {
    let hook = nest(4, &[number(1, HOOK), number(2, PRIORITY)]);
    let names = [text(1, TABLE), text(3, CHAIN)];
    change(NEW_CHAIN, CREATE, &[names.concat(), hook, number(5, ACCEPT), text(7, "nat")])
}

fn new_rule(rule: &Rule) -> Vec<u8> {
    let names = [text(1, TABLE), text(2, CHAIN)];
    let what = nest(4, &rule.expressions());
    let comment = attribute(7, &comment(&rule.comment));
    change(NEW_RULE, CREATE | APPEND, &[names.concat(), what, comment])
}

/// A comment as `nft` writes it into user data: type 0, a length, and a text with a zero at its end. It
/// has room for 254 bytes.
fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or_default();
    [&[0, length], text.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::message::messages, Kind},
        *,
    };

    fn kinds(batch: &[u8]) -> Vec<u16> {
        messages(batch).map(|message| message.kind).collect()
    }

    #[test]
    fn a_table_is_replaced_within_one_transaction() {
        let mut set = Set::of(Kind::Device);
        set.elements.insert(Element::device(2));
        let rule = Rule {
            kind: Kind::Ipv4,
            by: "parents".to_owned(),
            from: "from".to_owned(),
            except: "vpc".to_owned(),
            comment: "table 100".to_owned(),
        };
        let sets = BTreeMap::from([("parents".to_owned(), set)]);
        let batch = replace(&Table { sets, rules: vec![rule] });
        let body = [NEW_SET, NEW_ELEMENTS, NEW_CHAIN, NEW_RULE];
        let head = [BEGIN, NEW_TABLE, DELETE_TABLE, NEW_TABLE];
        assert_eq!(kinds(&batch), [&head[..], &body, &[END]].concat());
        let length: usize = messages(&batch).map(|_| 1).sum();
        assert_eq!(length, 9, "every message is as long as it says");
    }

    #[test]
    fn many_elements_are_many_messages() {
        let mut set = Set::of(Kind::Device);
        set.elements.extend((1..2500).map(Element::device));
        let batch = add(&BTreeMap::from([("parents".to_owned(), set)]));
        assert_eq!(kinds(&batch), [BEGIN, NEW_ELEMENTS, NEW_ELEMENTS, NEW_ELEMENTS, END]);
    }
}
