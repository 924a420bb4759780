//! What goes wrong, and the specification's number for it.

use std::{
    error::Error as _,
    fmt::{self, Write as _},
    io,
    path::PathBuf,
};

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Verb, Version};
use crate::{
    api::{client, types::Failure},
    error::chain,
    pod::{Mismatch, code},
};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration's version.
    #[error("CNI version {0:?} is not supported; use one of {versions}", versions = Versions)]
    Version(String),
    /// A verb that the configuration's version does not have.
    #[error("{verb} came with CNI version {}; the configuration is of {}", least.text(), version.text())]
    Verb {
        /// The verb.
        verb: Verb,
        /// The configuration's version.
        version: Version,
        /// The first one that has it.
        least: Version,
    },
    /// A key that is known, and that netpath can not serve.
    #[error("{key} = {value} is not supported; {hint}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What it is set to.
        value: String,
        /// What to do.
        hint: &'static str,
    },
    /// The container is gone, or was never attached.
    #[error("container {container} is not there: {problem}")]
    NoContainer {
        /// The container.
        container: String,
        /// How that shows.
        problem: String,
    },
    /// An environment variable.
    #[error("{variable}: {problem}")]
    Environment {
        /// Which one.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The system refused.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why.
        source: io::Error,
    },
    /// The configuration is longer than anybody's.
    #[error("the network configuration has more than {limit} bytes")]
    TooLong {
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The configuration is no JSON, or its version no text.
    #[error("the network configuration can not be decoded")]
    Decode(#[source] serde_json::Error),
    /// A key of the configuration.
    #[error("network configuration: {key}: {problem}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// Nobody listens.
    #[error("no netpath-agent answers on {}; try again when it runs", socket.display())]
    NoAgent {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agent refused, or its answer broke off.
    #[error(transparent)]
    Agent(client::Error),
    /// The agent listens, and says nothing.
    #[error("netpath-agent did not answer within {seconds} s; try again, and look at its log")]
    Silent {
        /// How long it was waited for.
        seconds: f32,
    },
    /// The agent can not attach pods now.
    #[error("the node can not take pods")]
    NotReady(#[source] Box<Self>),
    /// What a check found.
    #[error("not as it should be: {}", list(.0))]
    Mismatches(Vec<Mismatch>),
    /// An IPAM plugin said why it failed.
    #[error("IPAM plugin {plugin}: {message}")]
    Ipam {
        /// The plugin.
        plugin: String,
        /// Its code.
        code: u32,
        /// What it said.
        message: String,
    },
}

impl Error {
    /// The specification's code; from 100 on our own:
    ///
    /// | code | meaning |
    /// | --- | --- |
    /// | 100 | a pool has no free address |
    /// | 101 | somebody on the wire has the address |
    /// | 102 | the agent refused for another reason, which the message tells |
    /// | 103 | CHECK found something that is not as it should be |
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Version(_) | Self::Verb { .. } => 1,
            Self::Unsupported { .. } => 2,
            Self::NoContainer { .. } => 3,
            Self::Environment { .. } => 4,
            Self::Io { .. } => 5,
            Self::TooLong { .. } | Self::Decode(_) => 6,
            Self::Config { .. } => 7,
            Self::Agent(client::Error::Refused { status, failure }) => refusal(*status, failure),
            Self::NoAgent { .. }
            | Self::Silent { .. }
            | Self::Agent(client::Error::Unreachable { .. } | client::Error::Broken(_)) => 11,
            Self::Agent(client::Error::Answer(_) | client::Error::Question(_)) => 102,
            Self::NotReady(cause) => match cause.as_ref() {
                Self::Agent(client::Error::Refused { failure, .. })
                    if failure.code.as_deref() == Some(code::LIMITED) =>
                {
                    51
                }
                _ => 50,
            },
            Self::Mismatches(_) => 103,
            Self::Ipam { code, .. } => *code,
        }
    }

    /// Whether there is no agent to ask, now.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::NoAgent { .. } => true,
            Self::Agent(client::Error::Refused { status, .. }) => {
                *status == StatusCode::SERVICE_UNAVAILABLE
            }
            _ => false,
        }
    }

    /// Whether the agent does not know what it was asked about.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Agent(client::Error::Refused { status, .. })
            if *status == StatusCode::NOT_FOUND)
    }

    /// As the runtime reads it.
    pub(super) fn report(&self, version: Version) -> Value {
        let mut report = json!({
            "cniVersion": version.text(),
            "code": self.code(),
            "msg": self.to_string(),
        });
        if let Some(cause) = self.source() {
            report["details"] = chain(cause).into();
        }
        report
    }
}

/// The code of the agent's refusal. The environment's part of a request is told apart by field.
fn refusal(status: StatusCode, failure: &Failure) -> u32 {
    match (failure.code.as_deref(), failure.field.as_deref()) {
        (Some(code::EXHAUSTED), _) => 100,
        (Some(code::CONFLICT), _) => 101,
        (Some(code::BUSY), _) => 11,
        (Some(code::NETNS_GONE), _) => 3,
        (Some(code::NO_POOL | code::UNKNOWN_PARENT), _) => 7,
        _ if status == StatusCode::SERVICE_UNAVAILABLE => 11,
        (_, Some("netns" | "interface" | "container" | "pod")) => 4,
        _ if status == StatusCode::BAD_REQUEST => 7,
        _ => 102,
    }
}

impl From<client::Error> for Error {
    /// What the client says to operators who reach nobody is of no use to a runtime.
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Unreachable { socket, source } => Self::NoAgent { socket, source },
            error => Self::Agent(error),
        }
    }
}

/// The versions, as a list.
struct Versions;

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Version::ALL.map(Version::text).join(", "))
    }
}

fn list(mismatches: &[Mismatch]) -> String {
    let mut text = String::new();
    for (index, mismatch) in mismatches.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        // Writing to a string can not fail.
        let _ = write!(text, "{separator}{mismatch}");
    }
    text
}
