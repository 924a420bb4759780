//! `netpath-cni`: the plugin that container runtimes start for each verb of the CNI specification
//! 1.1.0. It checks what it is given, asks the agent, and answers in the version that was asked in.
//!
//! The network's configuration, besides the keys of the specification:
//!
//! | key | meaning |
//! | --- | --- |
//! | `socket` | the agent's socket; `/run/netpath/agent.sock` |
//! | `parent` | the parent to sit on; the agent's only one |
//! | `attachment` | how pods are wired: `ipvlan-l2`, `macvlan`, `policy-route`, ...; the parent's |
//! | `pools` | the pools to take addresses from; the default ones |
//! | `table` | the route table that is asked before the main one |
//! | `mtu` | the interface's MTU; the parent's |
//! | `defaultRoute` | whether default routes are made; only on `eth0` |
//! | `routes` | more routes: `dst`, `gw`, `mtu`, `priority` |
//! | `fixedOwner` | the pod, by namespace and name (and interface, other than `eth0`), keeps its addresses when it is made anew |
//! | `ipam` | none, `{}` or type `netpath`: the agent's pools; else the plugin that chooses |
//!
//! Error codes besides those of the specification: see [`Error::code`].

mod add;
mod agent;
mod arguments;
mod check;
mod config;
mod del;
mod environment;
mod error;
mod gc;
mod input;
mod ipam;
mod netns;
mod result;
mod status;
mod version;

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write as _},
};

use serde_json::Value;

use self::{
    agent::Agent,
    config::Network,
    environment::{Attachment, Environment},
    ipam::Ipam,
};
pub use self::{environment::Verb, error::Error, version::Version};

/// Does what the environment and standard input ask for, and returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let (output, code) = match run(&|name| env::var_os(name), io::stdin()) {
        Ok(answer) => (answer, 0),
        Err(Failed { version, error }) => {
            (Some(error.report(version.unwrap_or(Version::NEWEST))), 1)
        }
    };
    if let Some(output) = output {
        // A runtime that no longer listens has no use for it.
        let _ = writeln!(io::stdout(), "{output}");
    }
    code
}

/// Tells whoever reads the runtime's log. Standard error may be closed, which must not matter.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "netpath-cni: {text}");
}

/// An error, and the version to tell it in where that could be found out.
struct Failed {
    version: Option<Version>,
    error: Error,
}

/// What the verbs have in common.
struct Call {
    version: Version,
    /// The network's configuration as it came: plugins that we call get the same.
    input: Vec<u8>,
    network: Network,
    agent: Agent,
    ipam: Option<Ipam>,
}

fn run(
    variable: &dyn Fn(&str) -> Option<OsString>,
    input: impl Read,
) -> Result<Option<Value>, Failed> {
    let environment = Environment::new(variable);
    // Whoever starts the program by hand has nothing to say on standard input.
    let verb = environment.verb().map_err(|error| Failed { version: None, error })?;
    let input = input::read(input);
    let version = match &input {
        Ok(input) if input.is_empty() && verb == Verb::Version => Ok(Version::NEWEST),
        Ok(input) => Version::of(input),
        // Told below, behind what may be wrong with the environment.
        Err(_) => Ok(Version::NEWEST),
    };
    let known = version.as_ref().ok().copied();
    let failed = |error| Failed { version: known, error };
    if verb == Verb::Version {
        let version = input.and(version).map_err(failed)?;
        return Ok(Some(version.report()));
    }
    let attachment = environment.attachment(verb).map_err(failed)?;
    let input = input.map_err(failed)?;
    let version = version.map_err(failed)?;
    version.allows(verb).map_err(failed)?;
    let network: Network = config::read(&input).map_err(failed)?;
    network.check().map_err(failed)?;
    let ipam = network.ipam(&environment).map_err(failed)?;
    let agent = Agent::new(&network.socket());
    let call = Call { version, input, network, agent, ipam };
    call.answer(verb, attachment.as_ref()).map_err(failed)
}

impl Call {
    /// Only an addition has something to say.
    fn answer(&self, verb: Verb, attachment: Option<&Attachment>) -> Result<Option<Value>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| Error::Io { action: "start".to_owned(), source })?;
        runtime.block_on(async {
            match (verb, attachment) {
                (Verb::Add, Some(attachment)) => self.add(attachment).await.map(Some),
                (Verb::Del, Some(attachment)) => self.del(attachment).await.map(|()| None),
                (Verb::Check, Some(attachment)) => self.check(attachment).await.map(|()| None),
                (Verb::Gc, _) => self.gc().await.map(|()| None),
                (Verb::Status, _) => self.status().await.map(|()| None),
                // The environment gives each verb what it needs, and versions were told above.
                (Verb::Version | Verb::Add | Verb::Del | Verb::Check, _) => Ok(None),
            }
        })
    }
}
