//! Names that arrive from configuration, the API and the command line, checked once on entry.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The kernel stores interface names in 16 bytes, the last one zero (`IFNAMSIZ`).
    #[error(
        "interface name {0:?} is not one the kernel takes: expected 1 to 15 bytes without '/', ':' or blanks"
    )]
    Interface(String),
    /// An endpoint's name is a key in the store, a segment of the API's addresses and part of an
    /// interface's alias.
    #[error(
        "endpoint name {0:?} is not valid: expected 1 to 247 of letters, digits, '.', '_' and '-', starting with a letter or digit"
    )]
    Endpoint(String),
}

/// The name of a network interface, as the kernel accepts it (`dev_valid_name`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(Cow<'static, str>);

impl InterfaceName {
    /// What the first interface is called nearly everywhere, pods included.
    pub const ETH0: Self = Self(Cow::Borrowed("eth0"));

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if matches!(name.len(), 1..=15) && name != "." && name != ".." && !name.contains(forbidden)
        {
            Ok(Self(name.into()))
        } else {
            Err(Error::Interface(name))
        }
    }
}

/// The name of an endpoint, unique on its node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointName(String);

impl EndpointName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name stands in its interface's alias behind `netpath:`, and the kernel keeps 255 bytes
/// (`IFALIASZ`, one for the zero).
const LONGEST: usize = 247;

impl TryFrom<String> for EndpointName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        let tail = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if matches!(name.len(), 1..=LONGEST)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(tail)
        {
            Ok(Self(name))
        } else {
            Err(Error::Endpoint(name))
        }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self, Error> {
                Self::try_from(name.to_owned())
            }
        }
    };
}

text!(InterfaceName);
text!(EndpointName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_are_what_the_kernel_takes() {
        for good in ["eth0", "bond0.100", "a", "abcdefghijklmno"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "abcdefghijklmnop", "a\n"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoint_names_fit_a_path_segment() {
        for good in ["web-0", "default.web_0", "0a"] {
            assert!(good.parse::<EndpointName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a/b", "a b", "é", &"a".repeat(248)] {
            assert!(bad.parse::<EndpointName>().is_err(), "{bad}");
        }
    }
}
