//! Where a device is plugged in: PCI addresses, and which one an interface's device has.

use std::{fmt, fs, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where the kernel shows the interfaces of the network namespace that this file system was mounted
/// in.
pub const INTERFACES: &str = "/sys/class/net";

/// A text that is no PCI address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no PCI address: expected domain, bus, device and function such as 0000:00:04.0")]
pub struct Invalid(String);

/// The place of a device: domain, bus, device and function, as `lspci -D` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// Where the device of an interface, of this name and index, is plugged in, as the folder
    /// `interfaces` shows it. A virtio device is a child of the one that is plugged in. `None` for
    /// virtual devices, and where the folder is that of another network namespace.
    #[must_use]
    pub fn of((name, index): (&str, u32), interfaces: &Path) -> Option<Self> {
        let folder = interfaces.join(name);
        let shown = fs::read_to_string(folder.join("ifindex")).ok()?;
        if shown.trim().parse() != Ok(index) {
            return None;
        }
        let device = fs::canonicalize(folder.join("device")).ok()?;
        let mut names = device.iter().rev().take(2).filter_map(|name| name.to_str());
        names.find_map(|name| name.parse().ok())
    }
}

impl FromStr for PciAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (domain, rest) = text.split_once(':')?;
            let (bus, rest) = rest.split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = |text: &str, digits: usize| {
                let right = text.len() == digits && is_hex(text);
                right.then(|| u8::from_str_radix(text, 16).ok())?
            };
            // Domains behind some controllers (VMD) have more than four digits.
            let domain = Some(domain).filter(|text| matches!(text.len(), 4..=8) && is_hex(text));
            Some(Self {
                domain: u32::from_str_radix(domain?, 16).ok()?,
                bus: number(bus, 2)?,
                device: number(device, 2).filter(|device| *device < 32)?,
                function: number(function, 1).filter(|function| *function < 8)?,
            })
        };
        read().ok_or_else(|| Invalid(text.to_owned()))
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

impl TryFrom<String> for PciAddress {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["0000:00:04.0", "0000:af:1f.7", "10000:e1:00.0"] {
            let address: PciAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "00:04.0",
            "0000:00:04",
            "0000:00:20.0",
            "0000:00:04.8",
            "0000:0:4.0",
            "+000:00:04.0",
        ] {
            assert_eq!(text.parse::<PciAddress>(), Err(Invalid(text.to_owned())));
        }
    }

    #[test]
    fn an_interface_is_where_its_device_is() {
        let root = tempfile::TempDir::new().expect("folder");
        let plug = |name: &str, index: u32, device: Option<&str>| {
            let folder = root.path().join("class/net").join(name);
            fs::create_dir_all(&folder).expect("folder");
            fs::write(folder.join("ifindex"), format!("{index}\n")).expect("file");
            if let Some(device) = device {
                let device = root.path().join("devices").join(device);
                fs::create_dir_all(&device).expect("folder");
                symlink(device, folder.join("device")).expect("link");
            }
        };
        plug("ens5", 2, Some("pci0000:00/0000:00:1c.0/0000:02:00.1"));
        plug("eth0", 3, Some("pci0000:00/0000:00:04.0/virtio1"));
        plug("usb0", 4, Some("pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"));
        plug("veth0", 5, None);
        let interfaces = root.path().join("class/net");
        let find = |index, name: &str| {
            PciAddress::of((name, index), &interfaces).map(|address| address.to_string())
        };
        assert_eq!(find(2, "ens5").as_deref(), Some("0000:02:00.1"));
        assert_eq!(find(3, "eth0").as_deref(), Some("0000:00:04.0"));
        assert_eq!(find(4, "usb0"), None, "plugged into a bus of its own");
        assert_eq!(find(5, "veth0"), None);
        assert_eq!(find(7, "eth0"), None, "that of another namespace");
        assert_eq!(find(8, "eth9"), None);
    }
}
