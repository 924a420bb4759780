//! The guest's disks: one may be its root folder, the others are mounted where they belong.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::unistd::chroot;
use xtask::guest::{DISKS, FILES, disk_serial};

/// Disks appear while the driver talks to the device, shortly after its module loads.
const WAIT: Duration = Duration::from_secs(20);
const NONE: Option<&str> = None;

/// Where each disk is mounted, in the order of their serial numbers.
pub(crate) struct Disks(Vec<String>);

impl Disks {
    /// What the host says; to be read before another folder is the root.
    pub(crate) fn read() -> Result<Self> {
        if !Path::new(DISKS).exists() {
            return Ok(Self(Vec::new()));
        }
        let list = fs::read_to_string(DISKS).with_context(|| format!("read {DISKS}"))?;
        Ok(Self(list.lines().map(str::to_owned).collect()))
    }

    /// Makes the disk that is mounted on `/`, if there is one, the root folder.
    pub(crate) fn enter_root(&self) -> Result<()> {
        match self.0.iter().position(|folder| folder == "/") {
            Some(line) => become_root(&device(line)?).context("make a disk the root folder"),
            None => Ok(()),
        }
    }

    /// Mounts the others.
    pub(crate) fn mount_others(&self) -> Result<()> {
        for (line, folder) in self.0.iter().enumerate().filter(|(_, folder)| *folder != "/") {
            let device = device(line)?;
            fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
            mount(Some(&device), folder.as_str(), Some("ext4"), MsFlags::empty(), NONE)
                .with_context(|| format!("mount {} on {folder}", device.display()))?;
        }
        Ok(())
    }
}

/// Puts the caller's files over the disk, and a place for changes in memory over both.
fn become_root(device: &Path) -> Result<()> {
    let [disk, changes, new] = ["/netpath/disk", "/netpath/changes", "/netpath/root"];
    for folder in [disk, changes, new] {
        fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
    }
    mount(Some(device), disk, Some("ext4"), MsFlags::MS_RDONLY, NONE).context("mount the disk")?;
    mount(Some("changes"), changes, Some("tmpfs"), MsFlags::empty(), NONE)
        .context("mount a place for changes")?;
    let [upper, work] = ["upper", "work"].map(|name| Path::new(changes).join(name));
    for folder in [&upper, &work] {
        fs::create_dir(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let layers =
        format!("lowerdir={FILES}:{disk},upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("root"), new, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
        .context("mount the layers")?;
    // As switch_root does: a mount over the first root, which itself can not be left.
    env::set_current_dir(new).context("enter the new root")?;
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).context("move the new root")?;
    chroot(".").context("change the root")?;
    env::set_current_dir("/").context("enter the root")
}

/// The device node of a disk, once the driver has made it.
fn device(line: usize) -> Result<PathBuf> {
    let serial = disk_serial(line);
    let start = Instant::now();
    loop {
        if let Some(node) = find(&serial) {
            return Ok(node);
        }
        if start.elapsed() > WAIT {
            bail!("disk {serial} did not appear in {WAIT:?}; is virtio_blk loaded?");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn find(serial: &str) -> Option<PathBuf> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let found = fs::read_to_string(entry.path().join("serial")).ok()?;
        let node = Path::new("/dev").join(entry.file_name());
        (found.trim_end() == serial && node.exists()).then_some(node)
    })
}
