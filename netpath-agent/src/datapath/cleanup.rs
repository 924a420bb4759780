//! Leaving nothing behind.

use std::{fmt, path::Path};

use super::{
    Datapath, Error,
    pins::{self, Pins},
    tc, xdp,
};

/// What a clean-up found and removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// Names of the parents whose hooks were removed.
    pub parents: Vec<String>,
    /// Names of the parents that netpath added a clsact qdisc to: it is the caller's to remove,
    /// unless someone else's filters are on it by now.
    pub qdiscs: Vec<String>,
    /// What failed.
    pub errors: Vec<Error>,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hooks and pins")?;
        if !self.parents.is_empty() {
            write!(f, " of {}", self.parents.join(", "))?;
        }
        Ok(())
    }
}

impl Removed {
    /// Removes everything of one version.
    fn take(&mut self, pins: &Pins) {
        for (ifindex, parent) in pins::parents(pins) {
            self.errors.extend(xdp::detach(pins, ifindex).err());
            self.errors.extend(tc::detach(pins, ifindex).err());
            // A parent that is gone took its qdisc with it.
            let Ok(name) = nix::net::if_::if_indextoname(ifindex) else { continue };
            let name = name.to_string_lossy().into_owned();
            if parent.added_qdisc() {
                self.qdiscs.push(name.clone());
            }
            self.parents.push(name);
        }
        self.errors.extend(pins.remove());
    }
}

impl Datapath {
    /// Detaches everything of ours and removes the pins. It works without a running agent, and
    /// goes on past what fails.
    #[must_use]
    pub fn cleanup(pins: &Path) -> Removed {
        let pins = Pins::new(pins);
        let mut removed = Removed::default();
        for version in pins.others().iter().chain([&pins]) {
            removed.take(version);
        }
        removed
    }
}
