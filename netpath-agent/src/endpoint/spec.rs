//! What an endpoint should be, and what can be checked without the node.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::{
    attachment::Attachment,
    name::{EndpointName, InterfaceName},
    route::Table,
};

/// What an endpoint should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// Its name, unique on the node.
    pub name: EndpointName,
    /// The file of its network namespace, such as `/run/netns/web-0`.
    pub netns: PathBuf,
    /// The name of the interface inside the namespace.
    #[serde(default = "eth0")]
    pub interface: InterfaceName,
    /// The parent that it sits on.
    pub parent: InterfaceName,
    /// How it is wired; as the parent's endpoints are if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Its addresses with the length of their subnet; the first one is the primary.
    pub addresses: Vec<IpNet>,
    /// Its default gateways, at most one a family.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// The route table that is asked before the main one.
    #[serde(default)]
    pub table: Table,
    /// Bytes of its largest packet; the parent's if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

const fn eth0() -> InterfaceName {
    InterfaceName::ETH0
}

/// Why an endpoint was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// The agent's working directory means nothing to who asks.
    #[error("{} is relative; write the namespace's file from / on, such as /run/netns/NAME", .0.display())]
    Netns(PathBuf),
    /// Nothing to reach it by.
    #[error("no address given; give at least one, such as 10.0.1.5/24")]
    NoAddress,
    /// One address twice.
    #[error("{0} is given twice; remove one")]
    DuplicateAddress(IpAddr),
    /// An address that no interface can have.
    #[error("{0} can not be an interface's address; give a unicast address such as 10.0.1.5/24")]
    NotUnicast(IpNet),
    /// The agent chooses link-local addresses itself.
    #[error("{0} is link-local, which the agent chooses by itself; leave it out")]
    LinkLocal(IpNet),
    /// The subnet itself, or its broadcast address.
    #[error("{0} is the first or last address of its subnet; give one between them")]
    SubnetEnd(IpNet),
    /// More than one default gateway of a family.
    #[error("{0} is the second gateway of its family; give one")]
    SecondGateway(IpAddr),
    /// A gateway that the endpoint has no address to reach by.
    #[error(
        "gateway {0} is in no subnet of the endpoint's addresses; correct it or the prefix length"
    )]
    GatewayOffLink(IpAddr),
    /// The endpoint would be its own gateway.
    #[error("gateway {0} is the endpoint's own address; give the router's")]
    GatewayIsOwn(IpAddr),
    /// Smaller than the families allow, or larger than an IP packet.
    #[error("MTU {mtu} is out of range; expected {least} to 65535")]
    Mtu {
        /// What was given.
        mtu: u32,
        /// 68 for IPv4 (RFC 791), 1280 for IPv6 (RFC 8200).
        least: u32,
    },
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Netns(_) => "netns",
            Self::NoAddress
            | Self::DuplicateAddress(_)
            | Self::NotUnicast(_)
            | Self::LinkLocal(_)
            | Self::SubnetEnd(_) => "addresses",
            Self::SecondGateway(_) | Self::GatewayOffLink(_) | Self::GatewayIsOwn(_) => "gateways",
            Self::Mtu { .. } => "mtu",
        }
    }
}

impl EndpointSpec {
    /// Checks what can be checked without the node.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self {
            name: _,
            netns,
            interface: _,
            parent: _,
            attachment: _,
            addresses,
            gateways,
            table: _,
            mtu,
        } = self;
        if !netns.is_absolute() {
            return Err(Invalid::Netns(netns.clone()));
        }
        check_addresses(addresses)?;
        check_gateways(gateways, addresses)?;
        let least = if addresses.iter().any(|net| net.addr().is_ipv6()) { 1280 } else { 68 };
        match *mtu {
            Some(mtu) if !(least..=65535).contains(&mtu) => Err(Invalid::Mtu { mtu, least }),
            _ => Ok(()),
        }
    }
}

fn check_addresses(addresses: &[IpNet]) -> Result<(), Invalid> {
    if addresses.is_empty() {
        return Err(Invalid::NoAddress);
    }
    let mut seen = HashSet::new();
    for net in addresses {
        check_address(*net)?;
        if !seen.insert(net.addr()) {
            return Err(Invalid::DuplicateAddress(net.addr()));
        }
    }
    Ok(())
}

fn check_address(net: IpNet) -> Result<(), Invalid> {
    let address = net.addr();
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return Err(Invalid::NotUnicast(net));
    }
    match net {
        IpNet::V4(v4) => check_v4(v4),
        IpNet::V6(v6) if v6.addr().is_unicast_link_local() => Err(Invalid::LinkLocal(net)),
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => Err(Invalid::NotUnicast(net)),
        IpNet::V6(_) if net.prefix_len() == 0 => Err(Invalid::NotUnicast(net)),
        IpNet::V6(_) => Ok(()),
    }
}

fn check_v4(net: Ipv4Net) -> Result<(), Invalid> {
    let address = net.addr();
    if address == Ipv4Addr::BROADCAST || address.octets()[0] == 0 || net.prefix_len() == 0 {
        return Err(Invalid::NotUnicast(net.into()));
    }
    // RFC 3021: a /31 has no network and no broadcast address.
    if net.prefix_len() < 31 && (address == net.network() || address == net.broadcast()) {
        return Err(Invalid::SubnetEnd(net.into()));
    }
    Ok(())
}

fn check_gateways(gateways: &[IpAddr], addresses: &[IpNet]) -> Result<(), Invalid> {
    for (index, gateway) in gateways.iter().copied().enumerate() {
        if gateways[..index].iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
            return Err(Invalid::SecondGateway(gateway));
        }
        if addresses.iter().any(|net| net.addr() == gateway) {
            return Err(Invalid::GatewayIsOwn(gateway));
        }
        if !addresses.iter().any(|net| on_link(gateway, *net)) {
            return Err(Invalid::GatewayOffLink(gateway));
        }
    }
    Ok(())
}

/// Whether an endpoint with this address reaches the gateway without another router. An address
/// without a subnet (/32, /128) says nothing about its link: the gateway is taken to be on it.
fn on_link(gateway: IpAddr, net: IpNet) -> bool {
    let link_local = match (gateway, net) {
        (IpAddr::V6(gateway), IpNet::V6(_)) => gateway.is_unicast_link_local(),
        _ => false,
    };
    let alone = net.prefix_len() == net.max_prefix_len();
    link_local || net.contains(&gateway) || (alone && gateway.is_ipv4() == net.addr().is_ipv4())
}

#[cfg(test)]
mod tests;
