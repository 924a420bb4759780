//! Putting the CNI plugin and its configuration in place, so that container runtimes use netpath.
//!
//! A runtime takes a node for ready as soon as it finds a configuration. So that comes last, and
//! only once the agent says that it can attach pods. Whatever is put in place is whole or not there:
//! written beside its place, brought to the disk, and renamed. An agent that stops or starts again
//! removes nothing: a runtime that loses its configuration takes the next best one.

mod conflist;
mod keep;

use std::{
    env,
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{self, Instant, MissedTickBehavior};

pub use self::{conflist::Conflist, keep::keep};
use crate::{
    api::{Client, client},
    pod::ReadyQuestion,
};

/// The plugin's program.
pub const PLUGIN: &str = "netpath-cni";

/// How often the agent is asked whether it is ready.
const PERIOD: Duration = Duration::from_millis(250);
/// How long it may take to say so.
const QUESTION: Duration = Duration::from_secs(1);

/// Where things go.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of plugins.
    pub programs: PathBuf,
    /// The folder of network configurations.
    pub configurations: PathBuf,
    /// The configuration's file name.
    pub conflist: String,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin to install.
    #[error("plugin {}: can not be read; it belongs beside netpath-agent", path.display())]
    Plugin {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration to install.
    #[error("conflist {}: {problem}", path.display())]
    Conflist {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// A file in place.
    #[error("{}: can not be {action}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody could end the program.
    #[error("listen for signals")]
    Signals(#[source] io::Error),
    /// The agent is not there, or refuses.
    #[error(
        "netpath-agent was not ready within {seconds} s; the plugin is in place, the conflist is not"
    )]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// What it said last; none: nothing.
        source: Option<client::Error>,
    },
}

/// Puts the plugin in place, waits for the agent, and puts the configuration in place. Returns the
/// files.
pub async fn install(
    agent: &Client,
    conflist: &Conflist,
    places: &Places,
    patience: Duration,
) -> Result<[PathBuf; 2], Error> {
    places.put_plugin()?;
    wait(agent, conflist.network(), patience).await?;
    places.put_conflist(conflist)?;
    Ok(places.files())
}

impl Places {
    /// The plugin and the configuration.
    fn files(&self) -> [PathBuf; 2] {
        [self.programs.join(PLUGIN), self.configurations.join(&self.conflist)]
    }

    fn put_plugin(&self) -> Result<(), Error> {
        let source = own_plugin();
        let unreadable = |error| Error::Plugin { path: source.clone(), source: error };
        let mut program = File::open(&source).map_err(unreadable)?;
        let [plugin, _] = self.files();
        replace(&plugin, 0o755, &mut program).map_err(write_error(&plugin))
    }

    fn put_conflist(&self, conflist: &Conflist) -> Result<(), Error> {
        let [_, path] = self.files();
        replace(&path, 0o644, &mut conflist.text().as_bytes()).map_err(write_error(&path))
    }
}

/// Takes away what was put in place, the configuration first: no new pods from there on. Returns
/// what was there. Pods need the plugin to be removed: they should be gone before.
pub fn uninstall(places: &Places) -> Result<Vec<PathBuf>, Error> {
    let mut removed = Vec::new();
    for path in places.files().into_iter().rev() {
        match fs::remove_file(&path).and_then(|()| settle(&path)) {
            Ok(()) => removed.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::File { action: "removed", path, source }),
        }
    }
    Ok(removed)
}

/// The plugin of this program's own version.
fn own_plugin() -> PathBuf {
    env::current_exe().unwrap_or_default().with_file_name(PLUGIN)
}

async fn wait(agent: &Client, network: &str, patience: Duration) -> Result<(), Error> {
    let question = ReadyQuestion { network: Some(network.to_owned()), parent: None };
    let end = Instant::now() + patience;
    let mut timer = time::interval(PERIOD);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let source = match time::timeout(QUESTION, agent.ready(&question)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if Instant::now() >= end {
            return Err(Error::NotReady { seconds: patience.as_secs(), source });
        }
    }
}

/// Writes a file that is whole or not there, even after a power cut. Runtimes read no files of the
/// temporary one's name: they look for extensions.
fn replace(path: &Path, mode: u32, content: &mut impl Read) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".netpath-").tempfile_in(folder)?;
    io::copy(content, &mut file)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    settle(path)
}

/// Brings a name's change to the disk.
fn settle(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::File { action: "written", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
