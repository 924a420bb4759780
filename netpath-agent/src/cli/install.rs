//! `netpath-agent install` and `uninstall`: the plugin and its configuration, in place or not.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    api::Client,
    config,
    install::{self, Conflist, Error},
};

/// What to put in place.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    places: Places,
    /// The agent's socket.
    #[arg(long, value_name = "FILE", default_value_os_t = config::Agent::default().socket)]
    socket: PathBuf,
    /// A network configuration list to put in place instead of the standard one.
    #[arg(long, value_name = "FILE")]
    conflist: Option<PathBuf>,
    /// Seconds to wait for the agent to be ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
    /// Stay until SIGTERM or SIGINT, and put back what somebody removes or changes.
    #[arg(long)]
    keep: bool,
}

/// Where things are.
#[derive(Debug, Args)]
pub(super) struct Places {
    /// The folder of CNI plugins.
    #[arg(long, value_name = "FOLDER", default_value = "/opt/cni/bin")]
    bin_dir: PathBuf,
    /// The folder of network configurations.
    #[arg(long, value_name = "FOLDER", default_value = "/etc/cni/net.d")]
    conf_dir: PathBuf,
    /// The configuration's file name. Runtimes take the first one of the folder.
    #[arg(long, value_name = "NAME", default_value = "10-netpath.conflist", value_parser = file_name)]
    conf_name: String,
}

impl Install {
    /// Puts it in place, tells the files, and keeps them there if asked to.
    pub(super) async fn run(self, tell: impl Fn(&str, &Path)) -> Result<(), Error> {
        let Self { places, socket, conflist, wait, keep } = self;
        let mut signals = if keep { Some(Signals::listen()?) } else { None };
        let conflist = match conflist {
            Some(path) => Conflist::load(&path)?,
            None => Conflist::standard(&socket),
        };
        let patience = Duration::from_secs(wait.into());
        let agent = Client::new(&socket);
        let places = places.into();
        let work = async {
            for file in install::install(&agent, &conflist, &places, patience).await? {
                tell("installed", &file);
            }
            if keep {
                install::keep(&conflist, &places, |file| tell("put back", file)).await?;
            }
            Ok(())
        };
        let Some(signals) = &mut signals else { return work.await };
        tokio::select! {
            result = work => result,
            () = signals.heard() => Ok(()),
        }
    }
}

/// Who asks a program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::Signals);
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Places {
    /// Takes away what is there and returns the files.
    pub(super) fn clear(self) -> Result<Vec<PathBuf>, Error> {
        install::uninstall(&self.into())
    }
}

impl From<Places> for install::Places {
    fn from(places: Places) -> Self {
        let Places { bin_dir: programs, conf_dir: configurations, conf_name: conflist } = places;
        Self { programs, configurations, conflist }
    }
}

/// Runtimes read lists only from files of this extension.
fn file_name(name: &str) -> Result<String, String> {
    let stem = name.strip_suffix(".conflist").unwrap_or_default();
    if stem.is_empty() || name.contains('/') {
        Err("expected a file name that ends in .conflist".to_owned())
    } else {
        Ok(name.to_owned())
    }
}
