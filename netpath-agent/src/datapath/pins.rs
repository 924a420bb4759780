//! Where maps and links are pinned: `<pins>/v<ABI>/<map>` and `<pins>/v<ABI>/links/<ifindex>-<hook>`,
//! or `cgroup-<hook>`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use aya::maps::{HashMap, Map, MapData};
use netpath_common::{ABI, Hook, Parent};

use super::Error;

/// The directory of one ABI version.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
    directory: PathBuf,
}

impl Pins {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), directory: root.join(format!("v{ABI}")) }
    }

    /// Makes the directories.
    pub(super) fn create(&self) -> Result<(), Error> {
        let links = self.links();
        fs::create_dir_all(&links).map_err(|source| Error::Pin { path: links, source })
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// By index: bpf file systems allow no dot in a name, and VLAN interfaces have one.
    pub(super) fn link(&self, ifindex: u32, hook: Hook) -> PathBuf {
        self.links().join(format!("{ifindex}-{}", hook.name()))
    }

    /// The link of a cgroup's hook.
    pub(super) fn socket(&self, hook: &str) -> PathBuf {
        self.links().join(format!("cgroup-{hook}"))
    }

    /// The directories of other versions.
    pub(super) fn others(&self) -> Vec<Self> {
        let directories = fs::read_dir(&self.root).into_iter().flatten().flatten();
        directories
            .filter(|entry| entry.file_name().to_string_lossy().starts_with('v'))
            .map(|entry| Self { root: self.root.clone(), directory: entry.path() })
            .filter(|other| other.directory != self.directory)
            .collect()
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// When a pin of a map was made or removed last.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        fs::metadata(&self.directory).and_then(|directory| directory.modified()).ok()
    }

    /// The directory of the links.
    pub(super) fn links(&self) -> PathBuf {
        self.directory.join("links")
    }

    /// Removes every pin and the directories. What is not there is no error.
    pub(super) fn remove(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        for directory in [&self.links(), &self.directory] {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                note(&mut errors, &entry.path(), fs::remove_file(entry.path()));
            }
            note(&mut errors, directory, fs::remove_dir(directory));
        }
        // Another version may have its own directory beside.
        if fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_none()) {
            note(&mut errors, &self.root, fs::remove_dir(&self.root));
        }
        errors
    }
}

/// The parents that the pinned map knows.
pub(super) fn parents(pins: &Pins) -> Vec<(u32, Parent)> {
    let Ok(data) = MapData::from_pin(pins.map("parents")) else { return Vec::new() };
    let Ok(map) = HashMap::<_, u32, Parent>::try_from(Map::HashMap(data)) else {
        return Vec::new();
    };
    map.iter().filter_map(Result::ok).collect()
}

fn note(errors: &mut Vec<Error>, path: &Path, result: io::Result<()>) {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            errors.push(Error::Pin { path: path.to_owned(), source });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_told_from_this_one() {
        let root = tempfile::TempDir::new().expect("directory");
        let own = Pins::new(root.path());
        own.create().expect("directories");
        assert!(own.others().is_empty());
        fs::create_dir(root.path().join("v9999")).expect("directory");
        let others = own.others();
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].map("flows"), root.path().join("v9999/flows"));
        assert!(others[0].remove().is_empty() && own.others().is_empty());
    }
}
