//! Debian's package archive, read through apt with a source list of our own: nothing of the
//! machine's package state changes, and packages of another release can be had.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;
use crate::packages::{self, KEYRING, Need};

/// Overrides the mirror, for machines that reach Debian only through one of their own.
const MIRROR: &str = "NETPATH_DEBIAN_MIRROR";
/// Ubuntu's sources name no Debian mirror; this file of its own package does.
const TEMPLATE: &str = "/usr/share/python-apt/templates/Debian.info";

const MIRROR_LIST: Need = Need { what: TEMPLATE, package: "python-apt-common" };

/// Suites of the archive, their package lists downloaded.
#[derive(Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Downloads the lists of suites into a folder, which is created. apt checks signatures.
    pub(crate) fn open(suites: &[&str], folder: &Path) -> Result<Self> {
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name))
                .with_context(|| format!("create {}", folder.join(name).display()))?;
        }
        let mirror = mirror()?;
        let source = |suite: &&str| {
            // The security archive is beside the main one.
            let side = if suite.ends_with("-security") { "-security" } else { "" };
            format!("deb [signed-by={KEYRING}] {mirror}{side} {suite} main\n")
        };
        let sources: String = suites.iter().map(source).collect();
        fs::write(folder.join("sources.list"), sources).context("write sources.list")?;
        // apt takes the machine for one on which nothing is installed.
        fs::write(folder.join("status"), "").context("write an empty package state")?;
        let archive = Self { folder: folder.to_owned() };
        command::output(archive.apt("apt-get").arg("update"))?;
        Ok(archive)
    }

    /// The names of all packages about kernels, one a line.
    pub(crate) fn package_names(&self) -> Result<String> {
        command::output(self.apt("apt-cache").args(["pkgnames", "linux-"]))
    }

    /// Downloads packages and returns the files.
    pub(crate) fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        command::run(self.apt("apt-get").arg("download").args(packages))?;
        files(&self.folder)
    }

    /// Downloads packages and all that they depend on, down to the C library, and returns the
    /// files.
    pub(crate) fn download_whole(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let mut apt = self.apt("apt-get");
        apt.args(["install", "--yes", "--download-only", "--no-install-recommends"]);
        command::output(apt.args(packages))?;
        files(&self.folder.join("cache/archives"))
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        for option in [
            option("Dir::Etc::SourceList", &self.folder.join("sources.list")),
            option("Dir::Etc::SourceParts", Path::new("/dev/null")),
            option("Dir::State::Lists", &self.folder.join("lists")),
            option("Dir::Cache", &self.folder.join("cache")),
            option("Dir::State::Status", &self.folder.join("status")),
            // The lock is dpkg's own, below /var; nothing is installed.
            "Debug::NoLocking=true".to_owned(),
            // Only package lists: no descriptions, no application catalogue.
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // apt's own user can not write below the target folder.
            "APT::Sandbox::User=root".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
        ] {
            apt.arg("-o").arg(option);
        }
        apt.arg("-q").current_dir(&self.folder);
        apt
    }
}

/// The package files in a folder, in order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect();
    files.sort();
    Ok(files)
}

/// Where this machine gets Debian packages from.
fn mirror() -> Result<String> {
    if let Ok(mirror) = env::var(MIRROR) {
        return Ok(mirror.trim_end_matches('/').to_owned());
    }
    let format = "$(ORIGIN) $(REPO_URI)";
    let targets =
        command::output(Command::new("apt-get").args(["indextargets", "--format", format]))?;
    if let Some(mirror) = field(&targets, "Debian ") {
        return Ok(mirror);
    }
    packages::install(&[MIRROR_LIST])?;
    let template = fs::read_to_string(TEMPLATE).with_context(|| format!("read {TEMPLATE}"))?;
    field(&template, "BaseURI:").with_context(|| {
        format!("this machine's apt sources name no Debian mirror; set {MIRROR} to one")
    })
}

/// The first address of the main archive on a line that starts with a prefix.
fn field(text: &str, prefix: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::trim);
    let mut values = values.map(|value| value.trim_end_matches('/'));
    values.find(|value| value.ends_with("/debian")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_chosen() {
        let targets = "Node http://a.example/node/\nDebian http://b.example/debian-security/\n\
                       Debian http://b.example/debian/\n";
        assert_eq!(field(targets, "Debian ").as_deref(), Some("http://b.example/debian"));
        assert_eq!(field("Ubuntu http://c.example/ubuntu/\n", "Debian "), None);
    }
}
