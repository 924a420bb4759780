//! What the agent writes to standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// The environment variable that goes before the configuration's level.
pub const VARIABLE: &str = "NETPATH_LOG";

/// Libraries that report what is no news, or whose debug level would bury ours. A filter that names
/// them goes before this.
const QUIET: &str = "aya=warn,aya_obj=warn,hyper=warn,netlink_proto=error,\
                     netlink_packet_route=error,rtnetlink=error";

/// A level that can not be used.
#[derive(Debug, thiserror::Error)]
#[error("log level {level:?} is no filter; write error, warn, info, debug or trace")]
pub struct Error {
    /// The text.
    level: String,
    /// Why.
    source: ParseError,
}

/// Starts logging. Standard output is left to results.
pub fn start(level: &str, format: LogFormat) -> Result<(), Error> {
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|source| Error { level: level.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
