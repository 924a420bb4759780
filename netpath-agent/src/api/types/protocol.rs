//! IP protocols, as people write them.

use std::{net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// An IP protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// ICMP, or `ICMPv6` between IPv6 addresses.
    #[default]
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Any other, by number.
    Number(u8),
}

/// A protocol that is neither known by name nor a number.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no protocol; write icmp, tcp, udp or a number from 0 to 255")]
pub struct NoProtocol(String);

impl Protocol {
    /// The protocol of a number in a header.
    #[must_use]
    pub fn of(number: u32) -> Self {
        match number {
            1 | 58 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            number => Self::Number(u8::try_from(number).unwrap_or(u8::MAX)),
        }
    }

    /// The number in the header of a packet to this address.
    #[must_use]
    pub const fn number(self, destination: IpAddr) -> u8 {
        match self {
            Self::Icmp if destination.is_ipv6() => 58,
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Number(number) => number,
        }
    }
}

impl FromStr for Protocol {
    type Err = NoProtocol;

    fn from_str(text: &str) -> Result<Self, NoProtocol> {
        match text {
            "icmp" => Ok(Self::Icmp),
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => text.parse().map(Self::Number).map_err(|_| NoProtocol(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Protocol {
    type Error = NoProtocol;

    fn try_from(text: String) -> Result<Self, NoProtocol> {
        text.parse()
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Icmp => "icmp".to_owned(),
            Protocol::Tcp => "tcp".to_owned(),
            Protocol::Udp => "udp".to_owned(),
            Protocol::Number(number) => number.to_string(),
        }
    }
}
