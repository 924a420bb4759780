//! Versions of the specification.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Verb, config};

/// A version that the plugin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.3.0: results with several interfaces, chains.
    V0_3_0,
    /// 0.3.1: the same with a typing error corrected.
    V0_3_1,
    /// 0.4.0: CHECK, and the previous result for DEL.
    V0_4_0,
    /// 1.0.0: addresses without their family's number.
    V1_0_0,
    /// 1.1.0: STATUS, GC, and more about interfaces and routes.
    V1_1_0,
}

/// What a configuration without a version is of.
const UNSAID: &str = "0.1.0";

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 5] =
        [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// The newest one.
    pub const NEWEST: Self = Self::V1_1_0;

    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// The version that a configuration is of.
    pub(super) fn of(config: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "cniVersion")]
            version: Option<String>,
        }
        let Head { version } = serde_json::from_slice(config).map_err(Error::Decode)?;
        let text = version.as_deref().unwrap_or(UNSAID);
        Self::ALL
            .into_iter()
            .find(|version| version.text() == text)
            .ok_or_else(|| Error::Version(config::shorten(text)))
    }

    /// Fails where the version does not have the verb.
    pub(super) fn allows(self, verb: Verb) -> Result<(), Error> {
        let least = match verb {
            Verb::Check => Self::V0_4_0,
            Verb::Gc | Verb::Status => Self::V1_1_0,
            Verb::Add | Verb::Del | Verb::Version => Self::V0_3_0,
        };
        if self < least { Err(Error::Verb { verb, version: self, least }) } else { Ok(()) }
    }

    /// The answer to VERSION.
    pub(super) fn report(self) -> Value {
        json!({ "cniVersion": self.text(), "supportedVersions": Self::ALL.map(Self::text) })
    }
}
