//! `netpath-agent`: the daemon, its configuration, and its removal.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::{
    FAILED, OK, complain, completions,
    crds::{self, Crds},
    install::{Install, Places},
    parse, print,
};
use crate::{
    config::{self, Config, LogFormat},
    error::chain,
    install, log, node,
};

const EXAMPLES: &str = "\
Examples:
  netpath-agent config default > /etc/netpath.toml
  netpath-agent config check /etc/netpath.toml
  netpath-agent run --config /etc/netpath.toml --log-level debug
  netpath-agent install
  netpath-agent crds | kubectl apply --server-side -f -
  netpath-agent cleanup --config /etc/netpath.toml

Exit codes:
  0  done
  1  failed
  2  the command line makes no sense";

/// netpath's daemon: attaches the dataplane to the node's parents and looks after it.
#[derive(Debug, Parser)]
#[command(name = "netpath-agent", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM or SIGINT. The dataplane stays when the agent stops.
    Run {
        #[command(flatten)]
        config: File,
        #[command(flatten)]
        log: Log,
        /// What the cluster calls this node; goes before the configuration.
        #[arg(long, value_name = "NAME", env = "NODE_NAME")]
        node: Option<String>,
    },
    /// Remove everything netpath brought to this node. No agent may be running.
    Cleanup {
        #[command(flatten)]
        config: File,
    },
    /// Put the CNI plugin in place, and its configuration once the agent is ready.
    Install(Install),
    /// Take the CNI plugin and its configuration away. No pods should be left.
    Uninstall(Places),
    /// Print the definitions of netpath's custom resources, for a cluster's API server.
    Crds(Crds),
    /// Print or check configuration files.
    #[command(subcommand)]
    Config(Configuration),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Log {
    /// error, warn, info, debug, trace or a filter; goes before the configuration.
    #[arg(long = "log-level", value_name = "LEVEL", env = log::VARIABLE)]
    level: Option<String>,
    /// The shape of a log line; goes before the configuration.
    #[arg(long = "log-format", value_name = "FORMAT")]
    format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Configuration {
    /// Print a commented file with every setting and its default.
    Default,
    /// Say whether a file is good, or what is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Install(#[from] install::Error),
    #[error(transparent)]
    Crds(#[from] crds::Error),
    #[error(transparent)]
    Node(#[from] node::Error),
    #[error("the default configuration can not be written")]
    Default(#[from] toml::ser::Error),
    #[error("the runtime can not be started")]
    Runtime(#[from] std::io::Error),
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> u8 {
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "failed");
            complain(&chain(&error));
            FAILED
        }
    }
}

fn execute(command: Command) -> Result<u8, Error> {
    match command {
        Command::Run { config: File { file }, log, node } => run(&file, log, node),
        Command::Cleanup { config: File { file } } => cleanup(&file),
        Command::Install(install) => {
            runtime()?.block_on(install.run(tell))?;
            Ok(OK)
        }
        Command::Uninstall(places) => {
            for file in places.clear()? {
                tell("removed", &file);
            }
            Ok(OK)
        }
        Command::Crds(crds) => {
            crds.run()?;
            Ok(OK)
        }
        Command::Config(Configuration::Default) => {
            print(&config::default_file()?);
            Ok(OK)
        }
        Command::Config(Configuration::Check { file }) => {
            Config::load(&file)?;
            print("OK\n");
            Ok(OK)
        }
        Command::Completions { shell } => {
            completions::<Cli>(shell);
            Ok(OK)
        }
    }
}

fn run(file: &Path, log: Log, node: Option<String>) -> Result<u8, Error> {
    let mut config = Config::load(file)?;
    config.kubernetes.node = node.or(config.kubernetes.node);
    let Log { level, format } = log;
    log::start(level.as_deref().unwrap_or(&config.log.level), format.unwrap_or(config.log.format))?;
    runtime()?.block_on(node::run(config))?;
    Ok(OK)
}

fn cleanup(file: &Path) -> Result<u8, Error> {
    let config = Config::load(file)?;
    let node::Cleanup { removed, errors } = runtime()?.block_on(node::cleanup(&config))?;
    for what in removed {
        print(&format!("removed {what}\n"));
    }
    for error in &errors {
        complain(&chain(error));
    }
    Ok(if errors.is_empty() { OK } else { FAILED })
}

fn tell(done: &str, file: &Path) {
    print(&format!("{done} {}\n", file.display()));
}

/// One thread: the agent takes requests one at a time, and more threads would cost memory.
fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The command line, for its own test.
#[cfg(test)]
pub(super) fn command() -> clap::Command {
    use clap::CommandFactory as _;
    Cli::command()
}
