//! Which device a parent is.

use netpath_common::Mac;
use serde::{Deserialize, Serialize};

use super::Parent;
use crate::{name::InterfaceName, pci::PciAddress};

/// A VLAN (802.1Q) on a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// Another parent, or else the device of that name.
    pub on: InterfaceName,
    /// Its number, from 1 to 4094.
    pub id: u16,
}

/// What a parent's device is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity<'a> {
    /// The kernel's name for it.
    Name(&'a InterfaceName),
    /// Its Ethernet address.
    Mac(Mac),
    /// Where it is plugged in.
    Pci(PciAddress),
    /// Number and lower device.
    Vlan(&'a Vlan),
}

impl Identity<'_> {
    /// The key that says so.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Mac(_) => "mac",
            Self::Pci(_) => "pci",
            Self::Vlan(_) => "vlan",
        }
    }
}

impl Parent {
    /// What its device is found by. A file that is valid gives at most one of the keys.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        let mac = self.mac.map(Identity::Mac);
        let pci = self.pci.map(Identity::Pci);
        let vlan = self.vlan.as_ref().map(Identity::Vlan);
        mac.or(pci).or(vlan).unwrap_or(Identity::Name(&self.name))
    }
}

/// Optional values that stand in the file as text.
pub(super) mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        let read = |error| D::Error::custom(format_args!("{text:?}: {error}"));
        text.parse().map(Some).map_err(read)
    }
}
