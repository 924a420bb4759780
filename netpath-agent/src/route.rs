//! Routes as people write them: a destination prefix of a table, and the path it leads to.

use std::{fmt, net::IpAddr, str::FromStr};

use documented::{Documented, DocumentedFields};
use ipnet::IpNet;
use netpath_common::{
    Address, Path, RouteKey,
    route::{MAX_HOPS, TABLE_MAIN},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A route: what a destination prefix leads to. The most specific prefix wins; an endpoint's own
/// table is asked before the main one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The route table: "main", or a number that endpoints name as theirs.
    #[serde(default)]
    pub table: Table,
    /// The destination, without host bits: `10.96.0.0/12` or `fd00:96::/112`.
    pub prefix: IpNet,
    /// local: an endpoint of this node. host: the node itself. router: the VPC's router.
    /// kernel: the host stack with its netfilter, rules and routes. drop: nowhere.
    #[serde(with = "path_name")]
    pub path: Path,
    /// With router: the next hop, or a list of up to 8 among which flows are shared out, if not the one
    /// that the endpoint itself chose.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub via: Vec<IpAddr>,
}

/// Why a route was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// The prefix is an address inside itself.
    #[error("{prefix} has bits set behind its length; write {expected}")]
    HostBits {
        /// What was given.
        prefix: IpNet,
        /// The prefix that was probably meant.
        expected: IpNet,
    },
    /// IPv4 written as IPv6 would never match: packets are looked up in their own family.
    #[error("{0} is IPv4 in IPv6's mapped form; write it as IPv4")]
    Mapped(IpNet),
    /// Groups are not routed.
    #[error("{0} is multicast, which netpath does not route; use a unicast prefix")]
    Multicast(IpNet),
    /// Only the router path has a next hop.
    #[error("path {} takes no next hop; remove it or use path router", .0.name())]
    ViaNotTaken(Path),
    /// The next hop is of the other family.
    #[error("{via} is not of the family of {prefix}; use a next hop of the same family")]
    ViaFamily {
        /// The next hop.
        via: IpAddr,
        /// The prefix.
        prefix: IpNet,
    },
    /// The next hop can not be a neighbour.
    #[error("{0} is no unicast address; use the router's address on the parent's network")]
    ViaNotUnicast(IpAddr),
    /// A next hop that would have a second share.
    #[error("{0} is given twice; all next hops have the same share, remove one")]
    ViaTwice(IpAddr),
    /// Flows can not be shared out between parents: an endpoint sends by its own.
    #[error(
        "{0} and {1} are on the networks of different parents; the next hops of a route are on one"
    )]
    ViaApart(IpAddr, IpAddr),
    /// More than the map's value holds.
    #[error("{0} next hops; a route has at most {MAX_HOPS}")]
    TooManyHops(usize),
    /// The node would be its own next hop.
    #[error("{0} is an address of this node; use another router's, or path kernel")]
    ViaIsNode(IpAddr),
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::HostBits { .. } | Self::Mapped(_) | Self::Multicast(_) => "prefix",
            Self::ViaNotTaken(_)
            | Self::ViaFamily { .. }
            | Self::ViaNotUnicast(_)
            | Self::ViaTwice(_)
            | Self::ViaApart(..)
            | Self::TooManyHops(_)
            | Self::ViaIsNode(_) => "via",
        }
    }
}

impl RouteSpec {
    /// Checks what can be checked without the node.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { table: _, prefix, path, via } = self;
        let (prefix, path) = (*prefix, *path);
        if prefix != prefix.trunc() {
            return Err(Invalid::HostBits { prefix, expected: prefix.trunc() });
        }
        if let IpNet::V6(v6) = prefix
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err(Invalid::Mapped(prefix));
        }
        if prefix.addr().is_multicast() {
            return Err(Invalid::Multicast(prefix));
        }
        if !via.is_empty() && path != Path::Router {
            return Err(Invalid::ViaNotTaken(path));
        }
        if via.len() > MAX_HOPS {
            return Err(Invalid::TooManyHops(via.len()));
        }
        for (at, hop) in via.iter().copied().enumerate() {
            if hop.is_ipv4() != prefix.addr().is_ipv4() {
                return Err(Invalid::ViaFamily { via: hop, prefix });
            }
            if hop.is_unspecified() || hop.is_multicast() || hop.is_loopback() {
                return Err(Invalid::ViaNotUnicast(hop));
            }
            if via[..at].contains(&hop) {
                return Err(Invalid::ViaTwice(hop));
            }
        }
        Ok(())
    }

    /// The key and value of the kernel's table.
    #[must_use]
    pub fn entry(&self) -> (RouteKey, netpath_common::Route) {
        let Self { table, prefix, path, via } = self;
        let key = key(*table, *prefix);
        let route = netpath_common::Route::new(&key, *path);
        (key, via.iter().fold(route, |route, hop| route.via((*hop).into())))
    }
}

/// A next hop, or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected an address such as \"10.0.1.254\", or a list of them")]
    enum Written {
        One(IpAddr),
        Many(Vec<IpAddr>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(hop) => vec![hop],
        Written::Many(hops) => hops,
    })
}

/// The key of a prefix in the kernel's table.
#[must_use]
pub fn key(table: Table, prefix: IpNet) -> RouteKey {
    RouteKey::prefix(table.0, Address::from(prefix.addr()), prefix.prefix_len())
}

/// The number of a route table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u32);

impl Table {
    /// The table that is asked last.
    pub const MAIN: Self = Self(TABLE_MAIN);
}

impl Default for Table {
    fn default() -> Self {
        Self::MAIN
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAIN { f.write_str("main") } else { write!(f, "{}", self.0) }
    }
}

/// A table that is neither a number nor `main`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no route table; write main or a number from 1 to 4294967295")]
pub struct NoTable(String);

impl FromStr for Table {
    type Err = NoTable;

    fn from_str(text: &str) -> Result<Self, NoTable> {
        match text.parse() {
            _ if text == "main" => Ok(Self::MAIN),
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(NoTable(text.to_owned())),
        }
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::MAIN {
            serializer.serialize_str("main")
        } else {
            serializer.serialize_u32(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"main\" or a table number from 1 to 4294967295")]
        enum Written {
            Number(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
        .map_err(de::Error::custom)
    }
}

/// The path of a name, for the command line.
pub fn parse_path(name: &str) -> Result<Path, String> {
    Path::ALL.into_iter().find(|path| path.name() == name).ok_or_else(|| {
        let names = Path::ALL.map(Path::name).join(", ");
        format!("{name:?} is no path; expected one of {names}")
    })
}

/// Paths are written by name.
pub mod path_name {
    use super::{Deserialize, Deserializer, Path, Serializer, de, parse_path};

    /// Writes the name.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(path.name())
    }

    /// Reads the name.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Path, D::Error> {
        parse_path(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
