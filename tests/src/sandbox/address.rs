//! The address plan: one number names a host in both families.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Version 4.
    Ipv4,
    /// Version 6.
    Ipv6,
}

impl Family {
    /// Both, in the order of every table.
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];
}

/// One address in each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Dual {
    /// The address of a family.
    #[must_use]
    pub fn of(&self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => self.v4.into(),
            Family::Ipv6 => self.v6.into(),
        }
    }
}

/// A /24 and a /64 that belong together: `10.0.N.0/24` and `fd00:N::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    second: u8,
    third: u8,
    v6: u16,
}

impl Subnet {
    /// The nodes' own subnet.
    pub const NODES: Self = Self { second: 0, third: 0, v6: 0 };
    /// The first pod subnet.
    pub const A: Self = Self { second: 0, third: 1, v6: 1 };
    /// The second pod subnet.
    pub const B: Self = Self { second: 0, third: 2, v6: 2 };
    /// The nodes' addresses on their second and third NIC, and the pods' there.
    pub const NODES2: Self = Self { second: 0, third: 10, v6: 0x10 };
    /// See [`Subnet::NODES2`].
    pub const PODS2: Self = Self { second: 0, third: 11, v6: 0x11 };
    /// See [`Subnet::NODES2`].
    pub const NODES3: Self = Self { second: 0, third: 20, v6: 0x20 };
    /// See [`Subnet::NODES2`].
    pub const PODS3: Self = Self { second: 0, third: 21, v6: 0x21 };
    /// See [`Subnet::NODES2`].
    pub const NODES4: Self = Self { second: 0, third: 30, v6: 0x30 };
    /// See [`Subnet::NODES2`].
    pub const PODS4: Self = Self { second: 0, third: 31, v6: 0x31 };
    /// The subnet behind the router.
    pub const REMOTE: Self = Self { second: 9, third: 0, v6: 9 };
    /// Between two routers.
    pub const LINK: Self = Self { second: 9, third: 1, v6: 0x91 };

    /// Host `number`, written alike in both families: 11 is `.11` and `::11`.
    #[must_use]
    pub fn host(self, number: u8) -> Dual {
        let Self { second, third, v6 } = self;
        let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
        let digits = u16::from(hundreds) << 8 | u16::from(tens) << 4 | u16::from(ones);
        Dual {
            v4: Ipv4Addr::new(10, second, third, number),
            v6: Ipv6Addr::new(0xfd00, v6, 0, 0, 0, 0, 0, digits),
        }
    }

    /// The router's address.
    #[must_use]
    pub fn gateway(self) -> Dual {
        self.host(1)
    }

    /// The prefix of a family.
    #[must_use]
    pub fn prefix(self, family: Family) -> String {
        let Dual { v4, v6 } = self.host(0);
        match family {
            Family::Ipv4 => format!("{v4}/24"),
            Family::Ipv6 => format!("{v6}/64"),
        }
    }
}

/// The address that only the host stack of each node serves, as a node-local DNS cache does.
pub const SERVICE: Dual = Dual {
    v4: Ipv4Addr::new(169, 254, 20, 10),
    v6: Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, 0x10),
};

impl fmt::Display for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.v4, self.v6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_the_same_in_both_families() {
        assert_eq!(Subnet::NODES.host(11).to_string(), "10.0.0.11 fd00::11");
        assert_eq!(Subnet::REMOTE.host(110).to_string(), "10.9.0.110 fd00:9::110");
        assert_eq!(Subnet::A.prefix(Family::Ipv4), "10.0.1.0/24");
        assert_eq!(Subnet::B.prefix(Family::Ipv6), "fd00:2::/64");
    }
}
