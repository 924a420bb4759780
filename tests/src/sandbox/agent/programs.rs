//! The programs under test.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where the programs under test are.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
    agent: &'static str,
}

/// The daemon.
const AGENT: &str = "netpath-agent";
/// The same with another ABI number, see `netpath_common::ABI`.
const NEXT_AGENT: &str = "netpath-agent-next";

impl Programs {
    /// Looks for the programs in `folder`.
    pub fn find(folder: PathBuf) -> Result<Self> {
        for program in [AGENT, "netpath", "netpath-cni"] {
            let path = folder.join(program);
            if !path.is_file() {
                bail!("{}: not found; build it, or name its folder by --programs", path.display());
            }
        }
        Ok(Self { folder, agent: AGENT })
    }

    /// The same with the daemon of another version, if it was built.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        let next = Self { folder: self.folder.clone(), agent: NEXT_AGENT };
        next.agent().is_file().then_some(next)
    }

    /// Their folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The daemon.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.folder.join(self.agent)
    }

    /// The operator's command.
    #[must_use]
    pub fn netpath(&self) -> PathBuf {
        self.folder.join("netpath")
    }

    /// The CNI plugin.
    #[must_use]
    pub fn plugin(&self) -> PathBuf {
        self.folder.join("netpath-cni")
    }
}
