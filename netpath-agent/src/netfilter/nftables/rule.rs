//! The one kind of rule: masquerade what a set of addresses sends by a set of devices, but to a set of
//! destinations.

use super::{
    super::attribute::{attribute, nest, number, text},
    Kind,
};

const NAME: u16 = 1;
const DATA: u16 = 2;
const ELEMENT: u16 = 1;
const VALUE: u16 = 1;

/// `NFT_REG_1`, which holds 16 bytes.
const REGISTER: u32 = 1;
/// `NFT_META_OIF`, `NFT_META_NFPROTO`.
const DEVICE: u32 = 5;
const FAMILY: u32 = 15;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its family: that of addresses.
    pub kind: Kind,
    /// The set of devices.
    pub by: String,
    /// The set of sources.
    pub from: String,
    /// The set of destinations that are left alone.
    pub except: String,
    /// What `nft list` shows behind it, and by which it is known again.
    pub comment: String,
}

impl Rule {
    /// What it does, one expression each (`NFTA_RULE_EXPRESSIONS`).
    pub(super) fn expressions(&self) -> Vec<Vec<u8>> {
        let Self { kind, by, from, except, comment: _ } = self;
        // `NFPROTO_IPV4`, `NFPROTO_IPV6`; where source and destination are in the header, and their length.
        let (family, source, destination, length) =
            if *kind == Kind::Ipv6 { (10, 8, 24, 16) } else { (2, 12, 16, 4) };
        vec![
            meta(FAMILY),
            equal(family),
            meta(DEVICE),
            look_up(by, false),
            header(source, length),
            look_up(from, false),
            header(destination, length),
            look_up(except, true),
            expression("masq", &[]),
        ]
    }
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nest(ELEMENT, &[text(NAME, name), nest(DATA, data)])
}

/// Loads a fact of the packet.
fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER), number(2, key)])
}

/// Loads bytes of the network header (`NFT_PAYLOAD_NETWORK_HEADER`).
fn header(offset: u32, length: u32) -> Vec<u8> {
    let base = number(2, 1);
    expression("payload", &[number(1, REGISTER), base, number(3, offset), number(4, length)])
}

/// Goes on if what was loaded is this byte (`NFT_CMP_EQ`).
fn equal(byte: u8) -> Vec<u8> {
    let value = nest(3, &[attribute(VALUE, &[byte])]);
    expression("cmp", &[number(1, REGISTER), number(2, 0), value])
}

/// Goes on if what was loaded is in a set, or is not (`NFT_LOOKUP_F_INV`).
fn look_up(set: &str, unless: bool) -> Vec<u8> {
    let flags = number(5, u32::from(unless));
    expression("lookup", &[text(1, set), number(2, REGISTER), flags])
}
