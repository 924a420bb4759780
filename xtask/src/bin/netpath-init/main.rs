//! The first process of a test guest: mounts what programs expect, loads modules, runs one
//! command on channels of its own, reports how it ended, and powers the guest off.
//!
//! Its own words go through `/dev/kmsg`, never through a terminal: a record written there
//! reaches the console as one whole line, whatever else the kernel prints.

mod disk;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use self::disk::Disks;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use xtask::guest::{COMMAND, LOG_PREFIX, MODULES, STDERR, STDIN, STDOUT, TERMINAL, Verdict};

/// Real programs before busybox's applets, which are in `/bin`.
const PATH: &str = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a guest that can not even start its command answers, as a shell would.
const CANNOT_RUN: i32 = 127;
/// Virtio ports appear while the driver talks to the device, shortly after its module loads.
const PORT_WAIT: Duration = Duration::from_secs(20);

/// What loading modules and finding disks needs.
const FIRST: [(&str, &str); 3] = [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")];

const MOUNTS: [(&str, &str); 13] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    // The layers of containers: an overlay, which the root may be, can not hold another.
    ("tmpfs", "/var/lib"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
    ("securityfs", "/sys/kernel/security"),
];

/// Names that the kernel leaves to user space.
const DESCRIPTORS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("netpath-init: expected to be process 1 of a test guest; use `cargo xtask vm`");
        return ExitCode::from(2);
    }
    let exit = boot().unwrap_or_else(|error| {
        log(&format!("{error:#}"));
        CANNOT_RUN
    });
    log_line(&Verdict(exit).to_string());
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    log(&format!("power off: {error}"));
    ExitCode::FAILURE
}

/// Brings the guest up and runs the command; the command's exit status, or 128 + signal.
fn boot() -> Result<i32> {
    for (kind, target) in FIRST {
        mount_one(kind, target)?;
    }
    load_modules()?;
    let arguments = fs::read_to_string(COMMAND).with_context(|| format!("read {COMMAND}"))?;
    let terminal = fs::read_to_string(TERMINAL);
    let disks = Disks::read()?;
    disks.enter_root()?;
    for (kind, target) in MOUNTS {
        mount_one(kind, target)?;
    }
    disks.mount_others()?;
    for (link, target) in DESCRIPTORS {
        symlink(target, link).with_context(|| format!("create {link}"))?;
    }
    fs::write("/proc/sys/kernel/hostname", "netpath").context("set the host name")?;
    let lo = command("ip").args(["link", "set", "lo", "up"]).status();
    if !lo.context("start ip")?.success() {
        bail!("ip link set lo up failed");
    }
    let arguments: Vec<&str> = arguments.split_terminator('\0').collect();
    let Some((program, arguments)) = arguments.split_first() else {
        bail!("{COMMAND} is empty, expected the command to run");
    };
    match terminal {
        Ok(size) => on_terminal(&size, program, arguments),
        Err(_) => on_ports(program, arguments),
    }
}

/// A program in the environment of a root login: the kernel gives its first process next to none.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).env("HOME", "/root").env("TERM", "xterm").current_dir("/root");
    command
}

fn log(message: &str) {
    log_line(&format!("{LOG_PREFIX}{message}"));
}

fn log_line(line: &str) {
    // Priority 2, since the console shows only what is more urgent than its log level.
    let record = format!("<2>{line}\n");
    // Nobody is left to tell if the kernel log itself does not take the line: the host then
    // misses the verdict, and says so.
    let _ = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .and_then(|mut kmsg| kmsg.write_all(record.as_bytes()));
}

fn mount_one(kind: &str, target: &str) -> Result<()> {
    // Directories below /sys exist or not as the kernel was configured: those are not ours.
    if !target.starts_with("/sys/") {
        fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
    }
    match mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>) {
        // securityfs and tracefs are missing on some kernels, and devtmpfs may be there.
        Ok(()) | Err(Errno::ENODEV | Errno::ENOENT | Errno::EBUSY) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("mount {kind} on {target}")),
    }
}

/// Loads every listed module. One that fails is named in the log and does not stop the rest:
/// what needs it will fail with a name of its own.
fn load_modules() -> Result<()> {
    let list = fs::read_to_string(MODULES).with_context(|| format!("read {MODULES}"))?;
    let mut loaded = 0;
    for path in list.lines() {
        let file = File::open(path).with_context(|| format!("open {path}"))?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => loaded += 1,
            Err(error) => log(&format!("module {path}: {error}")),
        }
    }
    log(&format!("{loaded} modules loaded"));
    Ok(())
}

/// Runs the command on the virtio console, with a controlling terminal and job control.
fn on_terminal(size: &str, program: &str, arguments: &[&str]) -> Result<i32> {
    // Held open to the end: a terminal that nobody has open forgets its size.
    let console =
        OpenOptions::new().read(true).write(true).open("/dev/hvc0").context("open /dev/hvc0")?;
    let mut size = size.split_whitespace();
    if let (Some(rows), Some(columns)) = (size.next(), size.next()) {
        let stty = command("stty")
            .args(["rows", rows, "cols", columns, "sane"])
            .stdin(console.try_clone()?)
            .status();
        if !stty.context("start stty")?.success() {
            log("stty failed: the terminal has its default size");
        }
    }
    let mut command = command("setsid");
    command.arg("-c").arg(program).args(arguments);
    command.stdin(console.try_clone()?).stdout(console.try_clone()?).stderr(console.try_clone()?);
    let child = command.spawn().with_context(|| format!("start {program}"))?;
    wait_for(child.id())
}

/// Runs the command with pipes, each joined to its own byte-exact virtio port. Pipes and not
/// the ports themselves: a port can be open only once, so `/dev/stdout` would not work.
fn on_ports(program: &str, arguments: &[&str]) -> Result<i32> {
    let stdin = port(STDIN)?;
    let stdout = OpenOptions::new().write(true).open(port(STDOUT)?).context("open stdout")?;
    let mut stderr = OpenOptions::new().write(true).open(port(STDERR)?).context("open stderr")?;
    let child = command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            writeln!(stderr, "{LOG_PREFIX}start {program}: {error}").context("write stderr")?;
            return Ok(CANNOT_RUN);
        }
    };
    if let Some(pipe) = child.stdin.take() {
        thread::spawn(move || File::open(stdin).and_then(|port| relay(port, pipe)));
    }
    let out = child.stdout.take().map(|pipe| thread::spawn(move || relay(pipe, stdout)));
    let err = child.stderr.take().map(|pipe| thread::spawn(move || relay(pipe, stderr)));
    let exit = wait_for(child.id())?;
    // Whatever the command left running holds its pipes open; ending it all gives the relays
    // their end of file. ESRCH means that nothing was left.
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => log(&format!("end what the command left running: {error}")),
    }
    for relay in [out, err].into_iter().flatten() {
        if let Ok(Err(error)) = relay.join() {
            log(&format!("output channel: {error}"));
        }
    }
    Ok(exit)
}

fn relay(mut from: impl io::Read, mut to: impl io::Write) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The device node of a named virtio-serial port, once the driver has made it.
fn port(name: &str) -> Result<PathBuf> {
    let start = Instant::now();
    loop {
        if let Some(path) = find_port(name) {
            return Ok(path);
        }
        if start.elapsed() > PORT_WAIT {
            bail!("virtio port {name} did not appear in {PORT_WAIT:?}; is virtio_console loaded?");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn find_port(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|entry| {
        let mut found = String::new();
        File::open(entry.path().join("name")).ok()?.read_to_string(&mut found).ok()?;
        let node = Path::new("/dev").join(entry.file_name());
        (found.trim_end() == name && node.exists()).then_some(node)
    })
}

/// Waits for the command, and reaps the orphans that process 1 inherits meanwhile.
fn wait_for(id: u32) -> Result<i32> {
    let id = i32::try_from(id).context("process id")?;
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid.as_raw() == id => return Ok(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == id => {
                return Ok(128 + signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the command"),
        }
    }
}
