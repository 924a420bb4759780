//! What a pool should be, and what can be checked before it is used.

use std::net::IpAddr;

use documented::{Documented, DocumentedFields};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::range::{AddressRange, Addresses};

/// Addresses that the agent hands out to pods, of one family. For dual stack, make one pool for
/// each. Not handed out are the subnet's own address, its broadcast address (IPv4) and gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// A name, which network configurations ask for.
    pub name: String,
    /// The subnet that the addresses are of, without host bits; pods get its length.
    pub subnet: IpNet,
    /// What to hand out: `10.0.1.10-10.0.1.99`, `10.0.1.64/26` or `10.0.1.7`. The whole subnet if
    /// not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<AddressRange>,
    /// What never to hand out, in the same forms: routers, other nodes, load balancers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<AddressRange>,
    /// What to hand out only to those who ask for the very address, in the same forms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<AddressRange>,
    /// The subnet's router, which pods get as theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Whether pods whose network names no pool are served from here. Of several for one family,
    /// the first with a free address does.
    #[serde(default = "yes")]
    pub default: bool,
}

const fn yes() -> bool {
    true
}

/// Why a pool was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// A name is a word in network configurations and on the command line.
    #[error(
        "{0:?} is no pool name; write 1 to 63 of letters, digits, '.', '_' and '-', starting with a letter or digit"
    )]
    Name(String),
    /// The subnet is an address inside itself.
    #[error("{subnet} has bits set behind its length; write {expected}")]
    HostBits {
        /// What was given.
        subnet: IpNet,
        /// The prefix that was probably meant.
        expected: IpNet,
    },
    /// Addresses that no pod can have.
    #[error("{0} holds no addresses for pods; write a unicast subnet such as 10.0.1.0/24")]
    Subnet(IpNet),
    /// An address that is not of the pool.
    #[error("{range} is not inside {subnet}; correct one of the two")]
    Outside {
        /// The field, with the index where it is a list.
        field: String,
        /// What was given.
        range: AddressRange,
        /// The pool's subnet.
        subnet: IpNet,
    },
    /// A gateway that can not be a neighbour of the pool's pods.
    #[error(
        "{gateway} can not be the router of {subnet}; write an address inside it, or for IPv6 a link-local one"
    )]
    Gateway {
        /// What was given.
        gateway: IpAddr,
        /// The pool's subnet.
        subnet: IpNet,
    },
    /// Nothing to hand out.
    #[error(
        "no address is left to hand out after exclude, the gateway and the subnet's own; widen ranges"
    )]
    Empty,
    /// Two pools of one name.
    #[error("{name:?} is already pool[{first}]; choose another name")]
    Duplicate {
        /// The name.
        name: String,
        /// The index of the first pool.
        first: usize,
    },
    /// Two pools that would hand out one address.
    #[error("{address} is in pool[{first}] ({name}) too; give the two pools different ranges")]
    Overlap {
        /// An address that is in both.
        address: IpAddr,
        /// The index of the other pool.
        first: usize,
        /// Its name.
        name: String,
    },
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Name(_) | Self::Duplicate { .. } => "name",
            Self::HostBits { .. } | Self::Subnet(_) => "subnet",
            Self::Outside { field, .. } => field,
            Self::Gateway { .. } => "gateway",
            Self::Empty | Self::Overlap { .. } => "ranges",
        }
    }
}

/// Checks all pools. Returns the index of the first one that is wrong, and why.
pub fn check(pools: &[PoolSpec]) -> Result<(), (usize, Invalid)> {
    for (index, pool) in pools.iter().enumerate() {
        pool.check().map_err(|invalid| (index, invalid))?;
        for (first, other) in pools[..index].iter().enumerate() {
            let name = other.name.clone();
            if name == pool.name {
                return Err((index, Invalid::Duplicate { name, first }));
            }
            if let Some(address) = other.assignable().common(&pool.assignable()) {
                return Err((index, Invalid::Overlap { address, first, name }));
            }
        }
    }
    Ok(())
}

impl PoolSpec {
    /// Checks what can be checked without the other pools.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self { name, subnet, ranges, exclude, reserve, gateway, default: _ } = self;
        let tail = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !matches!(name.len(), 1..=63)
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.chars().all(tail)
        {
            return Err(Invalid::Name(name.clone()));
        }
        check_subnet(*subnet)?;
        for (field, list) in [("ranges", ranges), ("exclude", exclude), ("reserve", reserve)] {
            for (index, range) in list.iter().enumerate() {
                if !subnet.contains(&range.first()) || !subnet.contains(&range.last()) {
                    let field = format!("{field}[{index}]");
                    return Err(Invalid::Outside { field, range: *range, subnet: *subnet });
                }
            }
        }
        if let Some(gateway) = *gateway
            && !self.can_be_gateway(gateway)
        {
            return Err(Invalid::Gateway { gateway, subnet: *subnet });
        }
        if self.assignable().is_empty() { Err(Invalid::Empty) } else { Ok(()) }
    }

    /// How many addresses may be handed out, the reserved ones too.
    #[must_use]
    pub fn size(&self) -> u128 {
        self.assignable().count()
    }

    /// Every address that may be handed out, the reserved ones too.
    pub(super) fn assignable(&self) -> Addresses {
        let mut set = self.reserved();
        let whole = AddressRange::from(self.subnet);
        let ranges = if self.ranges.is_empty() { &[whole][..] } else { &self.ranges };
        for range in ranges {
            set.insert(*range);
        }
        self.trim(&mut set);
        set
    }

    /// Every address that is handed out only when asked for.
    pub(super) fn reserved(&self) -> Addresses {
        let mut set = Addresses::default();
        self.reserve.iter().for_each(|range| set.insert(*range));
        self.trim(&mut set);
        set
    }

    fn trim(&self, set: &mut Addresses) {
        self.exclude.iter().for_each(|range| set.remove(*range));
        self.unusable().chain(self.gateway).for_each(|address| set.remove(address));
    }

    /// The addresses of the subnet that no interface can have: in IPv4 its first and last one but
    /// for a /31 (RFC 3021), in IPv6 its first one, the routers' anycast address (RFC 4291, 2.6.1)
    /// but for a /127 (RFC 6164).
    fn unusable(&self) -> impl Iterator<Item = IpAddr> {
        let room = self.subnet.max_prefix_len() - self.subnet.prefix_len() > 1;
        let first = room.then(|| self.subnet.network());
        let last = (room && self.subnet.addr().is_ipv4()).then(|| self.subnet.broadcast());
        first.into_iter().chain(last)
    }

    fn can_be_gateway(&self, gateway: IpAddr) -> bool {
        match gateway {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => self.subnet.addr().is_ipv6(),
            _ => {
                self.subnet.contains(&gateway)
                    && self.unusable().all(|unusable| unusable != gateway)
            }
        }
    }
}

fn check_subnet(subnet: IpNet) -> Result<(), Invalid> {
    if subnet != subnet.trunc() {
        return Err(Invalid::HostBits { subnet, expected: subnet.trunc() });
    }
    let address = subnet.addr();
    let special = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some() || v6.is_unspecified()
        }
    };
    if special || address.is_loopback() || address.is_multicast() {
        return Err(Invalid::Subnet(subnet));
    }
    Ok(())
}
