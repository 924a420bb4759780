//! A file of Services, read again whenever it changes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Item, items};
use crate::hash::fnv1a;

/// How long ago a change of a file must be for the next one to have another time: far longer than the
/// kernel's tick, at most 10 ms.
const SETTLED: Duration = Duration::from_secs(1);

/// The file can not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can not be read.
    #[error("{}: can not be read; write a JSON list of Services there, or remove services.file", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no JSON.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in bytes.
        column: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// It is JSON, but no list.
    #[error("{}: holds no list; write Services between [ and ]", file.display())]
    NoList {
        /// The file.
        file: PathBuf,
    },
}

/// A file of Services, and what was last seen of it.
#[derive(Clone, Debug)]
pub struct ListFile {
    path: PathBuf,
    stamp: Option<Stamp>,
    digest: Option<u64>,
}

/// What another content of a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: SystemTime,
}

impl ListFile {
    /// A file that was not read yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stamp: None, digest: None }
    }

    /// Its Services, or why there are none, if it is another than before.
    pub fn look(&mut self) -> Option<Result<Vec<Item>, Error>> {
        let stamp = Stamp::of(&self.path);
        let recent = |stamp: &Stamp| stamp.modified.elapsed().is_ok_and(|since| since < SETTLED);
        if let Ok(stamp) = &stamp
            && self.stamp == Some(*stamp)
        {
            return None;
        }
        let read = stamp.and_then(|stamp| Ok((stamp, fs::read(&self.path)?)));
        match read {
            Ok((stamp, text)) => {
                // Another change may follow that looks like this one.
                self.stamp = (!recent(&stamp)).then_some(stamp);
                let digest = Some(fnv1a(&text));
                let changed = self.digest != digest;
                self.digest = digest;
                changed.then(|| parse(&self.path, &text))
            }
            Err(source) => {
                // No content has this digest: whatever comes next is news, and the same error is not.
                let told = self.digest == Some(0) && self.stamp.is_none();
                (self.stamp, self.digest) = (None, Some(0));
                (!told).then(|| Err(Error::Read { file: self.path.clone(), source }))
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, io::Error> {
        let data = fs::metadata(path)?;
        let modified = data.modified()?;
        Ok(Self { device: data.dev(), inode: data.ino(), size: data.size(), modified })
    }
}

fn parse(file: &Path, text: &[u8]) -> Result<Vec<Item>, Error> {
    let file = file.to_owned();
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(list) if list.is_array() => Ok(items(list)),
        Ok(_) => Err(Error::NoList { file }),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let message = error.to_string();
            // The place stands in front already.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            Err(Error::Parse { file, line, column, message: message[..end].to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn changes_are_seen_once() {
        let directory = TempDir::new().expect("directory");
        let path = directory.path().join("services.json");
        let mut file = ListFile::new(&path);
        let missing = file.look().expect("news").expect_err("missing");
        assert!(missing.to_string().contains("can not be read"), "{missing}");
        assert!(file.look().is_none());
        fs::write(&path, r#"[{"name": "a/a"}, {"name": "a/b", "nonsense": 1}]"#).expect("written");
        let items = file.look().expect("news").expect("a list");
        assert!(items[0].is_ok() && items[1].is_err());
        assert!(file.look().is_none());
        fs::write(&path, "[{\"name\": \"a/a\"},\n  nonsense]").expect("written");
        let broken = file.look().expect("news").expect_err("broken").to_string();
        assert!(broken.contains("services.json:2:") && !broken.contains(" at line"), "{broken}");
        fs::write(&path, "{}").expect("written");
        assert!(matches!(file.look(), Some(Err(Error::NoList { .. }))));
        fs::remove_file(&path).expect("removed");
        assert!(matches!(file.look(), Some(Err(Error::Read { .. }))));
    }

    #[test]
    fn a_replaced_file_is_another() {
        let directory = TempDir::new().expect("directory");
        let [path, new] = ["services.json", "new"].map(|name| directory.path().join(name));
        fs::write(&path, "[]").expect("written");
        let mut file = ListFile::new(&path);
        assert!(file.look().is_some_and(|read| read.is_ok()));
        fs::write(&new, r#"[{"name": "a/a"}]"#).expect("written");
        fs::rename(&new, &path).expect("renamed");
        assert_eq!(file.look().expect("news").expect("a list").len(), 1);
    }
}
