//! A layer: files in a tar archive, which is compressed. The same files make the same bytes.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Something at a path from the image's root on, which is root's.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    path: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    File { mode: u32, content: Vec<u8> },
    Link(&'static str),
    Folder,
}

impl Entry {
    pub(super) fn file(path: impl Into<String>, mode: u32, content: Vec<u8>) -> Self {
        Self { path: path.into(), what: What::File { mode, content } }
    }

    pub(super) fn link(path: impl Into<String>, to: &'static str) -> Self {
        Self { path: path.into(), what: What::Link(to) }
    }

    pub(super) fn folder(path: impl Into<String>) -> Self {
        Self { path: path.into(), what: What::Folder }
    }
}

/// A layer and its two digests.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Compressed.
    pub(super) bytes: Vec<u8>,
    /// Of what is compressed.
    pub(super) diff: String,
}

impl Layer {
    pub(super) fn pack(entries: Vec<Entry>, epoch: u64) -> Result<Self> {
        let tar = tar(entries, epoch)?;
        // Neither a name nor a time in the header; the system is said to be unknown.
        let gzip = GzBuilder::new().mtime(0).operating_system(255);
        let mut gzip = gzip.write(Vec::new(), Compression::best());
        gzip.write_all(&tar).context("compress a layer")?;
        let bytes = gzip.finish().context("compress a layer")?;
        Ok(Self { bytes, diff: digest(&tar) })
    }
}

/// Packs entries, in order of their paths, and the folders that they are in.
pub(super) fn tar(entries: Vec<Entry>, epoch: u64) -> Result<Vec<u8>> {
    let mut sorted = BTreeMap::new();
    for Entry { path, what } in entries {
        for (end, _) in path.match_indices('/') {
            sorted.entry(path[..end].to_owned()).or_insert(What::Folder);
        }
        sorted.insert(path, what);
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (path, what) in &sorted {
        append(&mut tar, path, what, epoch).with_context(|| format!("pack {path}"))?;
    }
    tar.into_inner().context("end an archive")
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    what: &What,
    epoch: u64,
) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_mtime(epoch);
    match what {
        What::File { mode, content } => {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_slice())
        }
        What::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, path, to)
        }
        What::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
    }
}

/// A digest as the OCI writes it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::file("usr/bin/b", 0o755, b"program".to_vec()),
            Entry::link("var/run", "../run"),
            Entry::file("a", 0o644, Vec::new()),
        ]
    }

    #[test]
    fn everything_is_roots_in_order_and_of_one_time() {
        let layer = Layer::pack(entries(), 1234).expect("layer");
        let mut tar = Vec::new();
        GzDecoder::new(layer.bytes.as_slice()).read_to_end(&mut tar).expect("gzip");
        assert_eq!(digest(&tar), layer.diff);
        let mut archive = tar::Archive::new(tar.as_slice());
        let seen = archive.entries().expect("entries").map(|entry| {
            let entry = entry.expect("entry");
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 1234);
            let path = entry.path().expect("path").display().to_string();
            (path, header.mode().unwrap(), header.size().unwrap())
        });
        let expected = [
            ("a", 0o644, 0),
            ("usr/", 0o755, 0),
            ("usr/bin/", 0o755, 0),
            ("usr/bin/b", 0o755, 7),
            ("var/", 0o755, 0),
            ("var/run", 0o777, 0),
        ];
        let expected = expected.map(|(path, mode, size)| (path.to_owned(), mode, size));
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let mut other = entries();
        other.reverse();
        let layers = [entries(), other].map(|entries| Layer::pack(entries, 1234).expect("layer"));
        assert_eq!(layers[0].bytes, layers[1].bytes);
        assert_ne!(layers[0].bytes, Layer::pack(entries(), 1235).expect("layer").bytes);
    }
}
