//! Network interfaces.

mod add;
mod carrier;
mod delete;
mod dummy;
mod get;
mod ipvlan;
mod macvlan;
mod set;
mod veth;
mod vlan;

use netpath_common::Mac;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

pub use self::{
    ipvlan::{IpvlanFlags, IpvlanMode, IpvlanPort},
    macvlan::MacvlanMode,
};

/// What netpath needs to know of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number, unique in the namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` for devices without.
    pub mac: Option<Mac>,
    /// The Ethernet address that its hardware came with, if it has one (Linux 5.6 tells).
    pub permanent: Option<Mac>,
    /// Bytes of the largest packet, link layer header not counted.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// The loopback device.
    pub loopback: bool,
    /// The kind of virtual device; `Other` for real ones.
    pub kind: LinkKind,
    /// For an ipvlan child: what its port does; `None` in a mode that netpath does not know.
    pub ipvlan: Option<IpvlanPort>,
    /// For a macvlan child: how it reaches its siblings; `None` in a mode that netpath does not use.
    pub macvlan: Option<MacvlanMode>,
    /// For a VLAN (802.1Q): its number.
    pub vlan: Option<u16>,
    /// For a port of a bridge, bond, team, ...: the kind of its master.
    pub port_of: Option<String>,
    /// The index of the device it sits on (VLAN, macvlan, ipvlan, veth peer), if it has one.
    pub lower: Option<u32>,
    /// The free text that tells whose it is.
    pub alias: Option<String>,
}

/// The kinds of device that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A dummy device.
    Dummy,
    /// An ipvlan child.
    Ipvlan,
    /// A macvlan or macvtap child.
    Macvlan,
    /// A bridge.
    Bridge,
    /// One end of a veth pair.
    Veth,
    /// A VLAN on another device.
    Vlan,
    /// A bond of several NICs.
    Bond,
    /// Anything else, real NICs included.
    Other,
}

impl LinkKind {
    /// The name that status shows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "dummy",
            Self::Ipvlan => "ipvlan",
            Self::Macvlan => "macvlan",
            Self::Bridge => "bridge",
            Self::Veth => "veth",
            Self::Vlan => "vlan",
            Self::Bond => "bond",
            Self::Other => "nic",
        }
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            permanent: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            loopback: flags.contains(LinkFlags::Loopback),
            kind: LinkKind::Other,
            ipvlan: None,
            macvlan: None,
            vlan: None,
            port_of: None,
            lower: None,
            alias: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(bytes) => link.mac = mac(bytes),
                LinkAttribute::PermAddress(bytes) => link.permanent = mac(bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Link(index) => link.lower = Some(index),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::LinkInfo(infos) => link.read_infos(infos),
                _ => {}
            }
        }
        link
    }
}

impl Link {
    fn read_infos(&mut self, infos: Vec<LinkInfo>) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => {
                    self.kind = match kind {
                        InfoKind::Dummy => LinkKind::Dummy,
                        InfoKind::IpVlan => LinkKind::Ipvlan,
                        InfoKind::MacVlan | InfoKind::MacVtap => LinkKind::Macvlan,
                        InfoKind::Bridge => LinkKind::Bridge,
                        InfoKind::Veth => LinkKind::Veth,
                        InfoKind::Vlan => LinkKind::Vlan,
                        InfoKind::Bond => LinkKind::Bond,
                        _ => LinkKind::Other,
                    };
                }
                LinkInfo::Data(InfoData::IpVlan(infos)) => self.ipvlan = IpvlanPort::read(infos),
                LinkInfo::Data(InfoData::MacVlan(infos)) => {
                    self.macvlan = MacvlanMode::read(&infos);
                }
                LinkInfo::Data(InfoData::Vlan(infos)) => self.vlan = vlan::number(&infos),
                // A VRF's member keeps its packets to itself: nothing else takes them over.
                LinkInfo::PortKind(InfoPortKind::Vrf) => {}
                LinkInfo::PortKind(kind) => self.port_of = Some(kind.to_string()),
                _ => {}
            }
        }
    }
}

fn mac(bytes: Vec<u8>) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes).ok().map(Mac::new)
}
