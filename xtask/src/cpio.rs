//! The archive format of an initramfs ("newc"), as the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst describes it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

const FOLDER: u32 = 0o04_0755;
const FILE: u32 = 0o10_0000;
const LINK: u32 = 0o12_0777;

/// Writes an archive. Parent folders of what is added come by themselves.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    to: W,
    inode: u32,
    folders: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, inode: 0, folders: BTreeSet::new() }
    }

    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        let path = path.trim_matches('/');
        if path.is_empty() || !self.folders.insert(path.to_owned()) {
            return Ok(());
        }
        self.parent(path)?;
        self.entry(path, FOLDER, b"")
    }

    /// Adds a file with permission bits such as 0o755.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        let path = path.trim_matches('/');
        self.parent(path)?;
        self.entry(path, FILE | permissions, content)
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let path = path.trim_matches('/');
        self.parent(path)?;
        self.entry(path, LINK, target.as_bytes())
    }

    /// Ends the archive and hands the writer back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, b"")?;
        Ok(self.to)
    }

    fn parent(&mut self, path: &str) -> io::Result<()> {
        match Path::new(path).parent().and_then(Path::to_str) {
            Some(parent) => self.folder(parent),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, name))?;
        self.inode += 1;
        let name_size = u32::try_from(name.len() + 1)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidFilename, name))?;
        // inode, mode, owner, group, links, time, size, two device numbers of two parts each,
        // name length with its NUL, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.to.write_all(b"070701")?;
        for field in fields {
            write!(self.to, "{field:08x}")?;
        }
        self.to.write_all(name.as_bytes())?;
        self.to.write_all(b"\0")?;
        self.pad(6 + 8 * fields.len() + name.len() + 1)?;
        self.to.write_all(content)?;
        self.pad(content.len())
    }

    /// Name and content each end on a multiple of four bytes.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.to.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_aligned_and_ends() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/init", 0o755, b"12345").unwrap();
        archive.file("/a/b/other", 0o644, b"").unwrap();
        archive.link("/a/sh", "b/init").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        // Folders come once and before what is in them.
        let names = ["a\0", "a/b\0", "a/b/init\0", "a/b/other\0", "a/sh\0", "TRAILER!!!\0"];
        let places = names.map(|name| text.find(&format!("00000000{name}")).unwrap());
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(text.matches("070701").count(), names.len());
        assert!(text.contains("12345\0\0\0"), "padded content");
        assert!(text.contains("000081ed"), "mode of a program");
    }
}
