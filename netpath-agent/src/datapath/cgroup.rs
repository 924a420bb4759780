//! The hooks of a cgroup, at which the sockets of its processes are translated.
//!
//! Each is a link (Linux 5.7), pinned as `links/cgroup-<hook>`. Links of a cgroup stand beside each other,
//! whoever made them, and run for all cgroups below.

use std::{
    fs::{self, File},
    os::{
        fd::AsFd as _,
        unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use aya::programs::{CgroupAttachMode, CgroupSockAddr, links::FdLink};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

use super::{
    AttachError, Datapath, Error,
    link::{CgroupLink, Info},
    load, tc,
};
use crate::error::chain;

/// Whose sockets are translated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sockets {
    /// Nobody's.
    #[default]
    Off,
    /// Those of all processes below the root of the first cgroup file system (version 2) that is
    /// mounted.
    Everybody,
    /// Those of the processes of a cgroup, and of all below.
    Of(PathBuf),
}

/// The hooks of a cgroup and the programs there. Answers are told apart before anything is asked.
pub(super) const HOOKS: [(&str, &str); 10] = [
    ("recvmsg4", "netpath_recvmsg4"),
    ("recvmsg6", "netpath_recvmsg6"),
    ("getpeername4", "netpath_getpeername4"),
    ("getpeername6", "netpath_getpeername6"),
    ("sendmsg4", "netpath_sendmsg4"),
    ("sendmsg6", "netpath_sendmsg6"),
    ("connect4", "netpath_connect4"),
    ("connect6", "netpath_connect6"),
    ("bind4", "netpath_bind4"),
    ("bind6", "netpath_bind6"),
];

/// A hook with its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketHook {
    /// Where.
    pub hook: &'static str,
    /// The kernel's number of the program.
    pub program: u32,
    /// The kernel's number of the link.
    pub link: u32,
}

/// The cgroup and its hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketsStatus {
    /// The cgroup, unless nobody's sockets are translated.
    pub cgroup: Option<PathBuf>,
    /// Its hooks.
    pub hooks: Vec<SocketHook>,
    /// Why not all of them have their program.
    pub failure: Option<String>,
}

/// A cgroup that is open.
#[derive(Debug)]
struct Cgroup {
    path: PathBuf,
    file: File,
    /// The kernel's number.
    id: u64,
}

impl Datapath {
    /// Attaches the programs to the cgroup, or detaches them, as the options say. Links that are pinned
    /// get the new programs in one step. Returns the hooks that were empty although this agent had
    /// attached their programs before.
    pub fn attach_sockets(&mut self) -> Result<Vec<&'static str>, Error> {
        let attached = match self.sockets {
            Sockets::Off => self.detach_sockets().map(|()| Vec::new()),
            Sockets::Everybody | Sockets::Of(_) => self.attach_all(),
        };
        self.socket_status.failure = attached.as_ref().err().map(|error| chain(error));
        attached
    }

    fn attach_all(&mut self) -> Result<Vec<&'static str>, Error> {
        let cgroup = match self.known_cgroup() {
            Some(known) => known,
            None => Cgroup::find(&self.sockets)?,
        };
        let moved = self.socket_status.cgroup.as_ref() != Some(&cgroup.path);
        let before = std::mem::take(&mut self.socket_status.hooks);
        self.socket_status.cgroup = Some(cgroup.path.clone());
        let mut empty = Vec::new();
        for (hook, name) in HOOKS {
            let pin = self.pins.socket(hook);
            let program = load::socket(&mut self.ebpf, name)?;
            let (info, anew) = attach(program, &pin, &cgroup).map_err(|source| {
                let source = Box::new(source);
                Error::AttachSockets { hook, cgroup: cgroup.path.clone(), source }
            })?;
            let again = before.iter().any(|status| status.hook == hook) && !moved;
            empty.extend((anew && again).then_some(hook));
            let Info { id: link, program, .. } = info;
            self.socket_status.hooks.push(SocketHook { hook, program, link });
        }
        Ok(empty)
    }

    /// Detaches the programs from whatever cgroup they are attached to.
    fn detach_sockets(&mut self) -> Result<(), Error> {
        self.socket_status = SocketsStatus::default();
        // What asks goes before what tells answers apart.
        for (hook, _) in HOOKS.iter().rev() {
            tc::unpin(&self.pins.socket(hook))?;
        }
        Ok(())
    }

    /// The cgroup that was found before, if there still is one: a node's mounts are many.
    fn known_cgroup(&self) -> Option<Cgroup> {
        Cgroup::open(self.socket_status.cgroup.clone()?).ok()
    }

    /// The cgroup and its hooks.
    #[must_use]
    pub const fn sockets(&self) -> &SocketsStatus {
        &self.socket_status
    }

    /// The hooks that should have a program and have none: detached by somebody, their pin removed, or
    /// another cgroup made in the place of theirs.
    #[must_use]
    pub fn missing_sockets(&self) -> Vec<&'static str> {
        if self.sockets == Sockets::Off {
            return Vec::new();
        }
        let id = self.known_cgroup().map(|cgroup| cgroup.id);
        let is_linked = |status: &&SocketHook| {
            let link = CgroupLink::from_pin(&self.pins.socket(status.hook));
            link.and_then(|link| link.info())
                .is_ok_and(|info| Some(info.cgroup) == id && info.program == status.program)
        };
        let linked: Vec<_> = self.socket_status.hooks.iter().filter(is_linked).collect();
        let hooks = HOOKS.iter().map(|(hook, _)| *hook);
        hooks.filter(|hook| !linked.iter().any(|status| status.hook == *hook)).collect()
    }
}

/// Updates the pinned link, or attaches anew where that is dead or of another cgroup. The link, and
/// whether it is a new one.
fn attach(
    program: &mut CgroupSockAddr,
    pin: &Path,
    cgroup: &Cgroup,
) -> Result<(Info, bool), AttachError> {
    if let Some(info) = update(program, pin, cgroup) {
        return Ok((info?, false));
    }
    // The kernel takes no flag for links, which always allow others.
    let id = program.attach(&cgroup.file, CgroupAttachMode::Single)?;
    let link = FdLink::try_from(program.take_link(id)?)?;
    // The one that it takes the place of is detached only now.
    if pin.exists() {
        fs::remove_file(pin)?;
    }
    link.pin(pin)?;
    Ok((CgroupLink::from_pin(pin)?.info()?, true))
}

/// Gives the pinned link the program in one step. `None` where there is no link of this cgroup.
fn update(
    program: &CgroupSockAddr,
    pin: &Path,
    cgroup: &Cgroup,
) -> Option<Result<Info, AttachError>> {
    let link = CgroupLink::from_pin(pin).ok()?;
    let mut info = link.info().ok().filter(|info| info.cgroup == cgroup.id)?;
    let mut update = || {
        let number = program.info()?.id();
        if info.program != number {
            link.update(program.fd()?.as_fd())?;
        }
        info.program = number;
        Ok(info)
    };
    Some(update())
}

impl Cgroup {
    fn find(sockets: &Sockets) -> Result<Self, Error> {
        let path = match sockets {
            Sockets::Of(path) => path.clone(),
            Sockets::Off | Sockets::Everybody => {
                let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
                first_mount(&mounts).ok_or(Error::NoCgroup)?
            }
        };
        Self::open(path)
    }

    fn open(path: PathBuf) -> Result<Self, Error> {
        let open = || {
            let file = File::open(&path)?;
            let is_cgroup = fstatfs(&file)?.filesystem_type() == CGROUP2_SUPER_MAGIC;
            let id = file.metadata()?.ino();
            Ok((file, id, is_cgroup))
        };
        match open() {
            Ok((file, id, true)) => Ok(Self { path, file, id }),
            Ok((_, _, false)) => Err(Error::NotCgroup(path)),
            Err(source) => Err(Error::Cgroup { path, source }),
        }
    }
}

/// Where the first cgroup file system of version 2 is mounted: see `proc_pid_mountinfo(5)`.
fn first_mount(mounts: &[u8]) -> Option<PathBuf> {
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == b"cgroup2").then(|| PathBuf::from(std::ffi::OsString::from_vec(unescape(point))))
    })
}

/// Blanks and backslashes are written as three octal digits behind a backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mount_of_version_2_is_found() {
        let mounts = b"23 28 0:21 / /sys/fs/cgroup ro shared:5 - tmpfs tmpfs ro\n\
            30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            31 23 0:27 / /sys/fs/cgroup/with\\040blank\\134 rw shared:9 master:1 - cgroup2 none rw\n\
            32 23 0:28 / /second rw - cgroup2 none rw\n";
        let found = first_mount(mounts).expect("one");
        assert_eq!(found, Path::new("/sys/fs/cgroup/with blank\\"));
        assert_eq!(first_mount(b"1 2 0:1 / / rw - ext4 /dev/a rw\n"), None);
        assert_eq!(first_mount(b"\n1 2\n"), None);
    }
}
