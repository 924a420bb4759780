//! Test kernels: Debian's cloud kernel packages, unpacked below `target/kernels`.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::archive::Archive;
use crate::command;
use crate::modules;
use crate::progress::{step, warn};
use crate::workspace::Workspace;

/// A kernel release series that netpath supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Series {
    /// Debian 11
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13
    #[value(name = "6.12")]
    V6_12,
    /// Debian 13 backports
    #[value(name = "7.3")]
    V7_3,
}

impl Series {
    pub(crate) const ALL: [Self; 4] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::V7_3];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_3 => "7.3",
        }
    }

    /// Debian suites that have the series, the one that will keep it longest first.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V5_10 => &["bullseye-security", "bullseye"],
            Self::V6_1 => &["bookworm", "bookworm-security"],
            Self::V6_12 => &["trixie", "bookworm-backports"],
            Self::V7_3 => &["trixie-backports"],
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An unpacked kernel.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    /// Folder that holds `lib/modules/RELEASE`, with uncompressed modules.
    pub(crate) root: PathBuf,
}

impl Kernel {
    /// The kernel from the cache, downloaded first if it is not there.
    pub(crate) fn get(workspace: &Workspace, series: Series) -> Result<Self> {
        let cache = workspace.target.join("kernels");
        fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
        // Two commands may want the same kernel at once: the second waits for the first.
        let lock = File::create(cache.join(format!("{series}.lock"))).context("create lock")?;
        lock.lock().context("wait for another download of the kernel")?;
        let root = cache.join(series.name());
        if !root.exists() {
            download(series, &cache, &root)?;
        }
        Ok(Self { release: release(&root)?, root })
    }

    pub(crate) fn image(&self) -> Result<PathBuf> {
        let places = [
            self.root.join("boot").join(format!("vmlinuz-{}", self.release)),
            self.modules().join("vmlinuz"),
        ];
        let found = places.into_iter().find(|place| place.exists());
        found.with_context(|| format!("no vmlinuz below {}", self.root.display()))
    }

    /// Paths of the modules of these names and of all that they need, in load order. Names
    /// that the kernel has built in add nothing; unknown ones are reported.
    pub(crate) fn load_order(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let modprobe = command::find("modprobe").context("no modprobe: install package kmod")?;
        let mut order: Vec<PathBuf> = Vec::new();
        for name in names {
            // An empty configuration: this machine's own blacklists are not the guest's.
            let mut show = Command::new(&modprobe);
            show.args(["-C", "/dev/null", "-S", &self.release, "-d"]).arg(&self.root);
            let Ok(text) = command::output(show.args(["--show-depends", name])) else {
                if !modules::is_built_in_later(name) {
                    warn(format!("kernel {} has no module {name}", self.release));
                }
                continue;
            };
            for path in text.lines().filter_map(insmod_path) {
                if !order.contains(&path) {
                    order.push(path);
                }
            }
        }
        Ok(order)
    }

    fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }
}

/// The file of a line that `modprobe --show-depends` prints: `insmod PATH [PARAMETER]...`.
fn insmod_path(line: &str) -> Option<PathBuf> {
    line.strip_prefix("insmod ")?.split_whitespace().next().map(PathBuf::from)
}

fn download(series: Series, cache: &Path, root: &Path) -> Result<()> {
    let work = cache.join(format!("{series}.partial"));
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    }
    let unpacked = work.join("root");
    fs::create_dir_all(&unpacked).with_context(|| format!("create {}", unpacked.display()))?;
    let packages = fetch(series, &work)?;
    step(format!("Unpacking kernel {series}"));
    for package in packages {
        command::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    }
    index(&unpacked)?;
    fs::rename(&unpacked, root).with_context(|| format!("create {}", root.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))
}

/// Downloads from the first suite that has the series.
fn fetch(series: Series, work: &Path) -> Result<Vec<PathBuf>> {
    let mut failures = Vec::new();
    for suite in series.suites() {
        step(format!("Looking for kernel {series} in Debian {suite}"));
        let fetched = Archive::open(&[suite], &work.join(suite)).and_then(|archive| {
            let (release, packages) = newest(series, &archive.package_names()?)
                .with_context(|| format!("{suite} has no cloud kernel {series}"))?;
            step(format!("Downloading kernel {release}"));
            archive.download(&packages)
        });
        match fetched {
            Ok(packages) => return Ok(packages),
            Err(error) => failures.push(format!("{suite}: {error:#}")),
        }
    }
    bail!("kernel {series} could not be had from Debian: {}", failures.join("; "))
}

/// The newest release of the series among package names, and the packages that make it up.
fn newest(series: Series, names: &str) -> Option<(String, Vec<String>)> {
    const FLAVOUR: &str = "-cloud-amd64";
    let has = |name: &String| names.lines().any(|line| line == name);
    let version = names
        .lines()
        .filter_map(|name| name.strip_prefix("linux-image-")?.strip_suffix(FLAVOUR))
        .filter(|version| version.strip_prefix(series.name()).is_some_and(|v| v.starts_with('.')))
        .max_by_key(|version| numbers(version))?;
    let release = format!("{version}{FLAVOUR}");
    // From 7.1 the image package is empty and depends on these two.
    let split = ["binary", "modules"].map(|part| format!("linux-{part}-{release}")).to_vec();
    let whole = vec![format!("linux-image-{release}")];
    Some((release, if split.iter().all(has) { split } else { whole }))
}

/// The numbers in a version, for ordering: 5.10.0-9 is older than 5.10.0-46.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Makes an unpacked kernel usable by modprobe: one place for modules, uncompressed, indexed.
fn index(root: &Path) -> Result<()> {
    // Packages differ in where they put modules, and so do builds of modprobe.
    for (have, link, target) in [
        ("usr/lib/modules", "lib", "usr/lib"),
        ("lib/modules", "usr/lib/modules", "../../lib/modules"),
    ] {
        let link = root.join(link);
        if root.join(have).exists() && !link.exists() {
            let parent = link.parent().unwrap_or(root);
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
            symlink(target, &link).with_context(|| format!("create {}", link.display()))?;
        }
    }
    for (extension, program) in [("*.ko.xz", "xz"), ("*.ko.zst", "zstd")] {
        let mut find = Command::new("find");
        find.arg(root.join("lib/modules/")).args(["-name", extension, "-print", "-quit"]);
        if command::output(&mut find)?.is_empty() {
            continue;
        }
        let mut unpack = Command::new("find");
        unpack.arg(root.join("lib/modules/")).args(["-name", extension, "-exec", program]);
        unpack.args(if program == "xz" { &["-d"][..] } else { &["-d", "-q", "--rm"] });
        command::run(unpack.args(["{}", "+"]))?;
    }
    let depmod = command::find("depmod").context("no depmod: install package kmod")?;
    command::run(Command::new(depmod).arg("-b").arg(root).arg(release(root)?))
}

/// The release of an unpacked kernel: the name of its module folder.
fn release(root: &Path) -> Result<String> {
    let folder = root.join("lib/modules");
    let mut entries =
        fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?.flatten();
    let entry = entries.next().with_context(|| format!("{} is empty", folder.display()))?;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_release_counts_by_number() {
        let names = "linux-image-5.10.0-9-cloud-amd64\nlinux-image-5.10.0-46-cloud-amd64\n\
                     linux-image-5.10.0-46-cloud-amd64-unsigned\nlinux-image-5.10.0-47-amd64";
        let (release, packages) = newest(Series::V5_10, names).unwrap();
        assert_eq!(release, "5.10.0-46-cloud-amd64");
        assert_eq!(packages, ["linux-image-5.10.0-46-cloud-amd64"]);
    }

    #[test]
    fn split_packages_replace_the_image() {
        let names = "linux-image-7.3.4+deb13-cloud-amd64\nlinux-binary-7.3.4+deb13-cloud-amd64\n\
                     linux-modules-7.3.4+deb13-cloud-amd64";
        let (_, packages) = newest(Series::V7_3, names).unwrap();
        assert_eq!(packages.len(), 2);
        assert!(packages[0].starts_with("linux-binary-7.3.4"));
    }

    #[test]
    fn a_series_is_no_prefix_of_another() {
        assert!(newest(Series::V6_1, "linux-image-6.12.107+deb13-cloud-amd64").is_none());
    }

    #[test]
    fn module_lines() {
        let line = "insmod /k/lib/modules/6.1/kernel/net/8021q/8021q.ko ";
        assert!(insmod_path(line).unwrap().ends_with("8021q.ko"));
        assert_eq!(insmod_path("builtin ipv6"), None);
    }
}
