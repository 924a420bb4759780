//! A test machine: one command in a QEMU guest with a Debian kernel.
//!
//! The command's output comes through virtio ports of its own, byte for byte. The console
//! carries only the kernel's log and the verdict, and is kept in a file.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::build;
use crate::console::Console;
use crate::disk::Disk;
use crate::kernel::{Kernel, Series};
use crate::packages::{self, GUEST, NETWORK};
use crate::progress::step;
use crate::qemu::{self, Wire};
use crate::rootfs::Rootfs;
use crate::terminal::Terminal;
use crate::workspace::Workspace;

/// How often the host looks at a running guest.
const LOOK: Duration = Duration::from_millis(50);
/// Between a kernel's last words and the end of its machine: time to print the trace.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// QEMU needs no longer to end after a signal.
const END: Duration = Duration::from_secs(5);
/// Guests that were started: several may run side by side, on one kernel as well.
static BOOTS: AtomicU64 = AtomicU64::new(0);

/// Console lines shown when a guest is lost.
const TAIL: usize = 40;

/// A file to put into a guest.
#[derive(Debug, Clone)]
pub(crate) struct GuestFile {
    pub(crate) host: PathBuf,
    /// Absolute path in the guest.
    pub(crate) guest: String,
}

impl FromStr for GuestFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => {
                Ok(Self { host: host.into(), guest: guest.to_owned() })
            }
            _ => Err("expected HOST:GUEST with an absolute GUEST path".to_owned()),
        }
    }
}

/// A machine to be started.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) series: Series,
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u32,
    /// Guest time counts instructions: comparable figures, one CPU.
    pub(crate) icount: bool,
    pub(crate) files: Vec<GuestFile>,
    /// One that is mounted on `/` brings the userland; there are no programs of this machine
    /// then.
    pub(crate) disks: Vec<Disk>,
    pub(crate) command: Vec<String>,
    /// Wall-clock limit, the boot included.
    pub(crate) timeout: Duration,
    /// Longest time without a byte of output or log.
    pub(crate) silence: Duration,
}

/// Where a guest command's input and output go.
pub(crate) enum Channel<'a> {
    /// The user's terminal: for shells.
    Terminal,
    /// Standard input as it is here, output to a writer; standard error to ours.
    Output(&'a mut (dyn Write + Send)),
}

/// Whether a guest's power is to be cut now; asked all the time.
pub(crate) type Cut<'a> = &'a (dyn Fn() -> bool + Sync);

/// Why a guest is not waited for any longer.
enum End {
    Itself,
    Cut,
    Problem(String),
}

/// How a guest's command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its exit status, or 128 + signal.
    pub(crate) exit: i32,
    pub(crate) elapsed: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {} after {:.1} s", self.exit, self.elapsed.as_secs_f64())
    }
}

impl Machine {
    pub(crate) fn new(series: Series, command: Vec<String>) -> Self {
        Self {
            series,
            memory_mib: 2048,
            cpus: 2,
            icount: false,
            files: Vec::new(),
            disks: Vec::new(),
            command,
            timeout: Duration::from_mins(10),
            silence: Duration::from_mins(3),
        }
    }

    /// Lifts the limits: a person decides when it is enough.
    pub(crate) fn wait_forever(&mut self) {
        (self.timeout, self.silence) = (Duration::MAX, Duration::MAX);
    }

    /// Lets guest time count instructions, of one processor.
    pub(crate) fn count_instructions(&mut self) {
        (self.icount, self.cpus) = (true, 1);
    }

    /// Starts the guest, runs its command, and waits for the end of both.
    pub(crate) fn run(&self, workspace: &Workspace, channel: Channel<'_>) -> Result<Outcome> {
        self.run_until(workspace, channel, &|| false)?.context("nobody cut the guest's power")
    }

    /// The same, but the guest's power is cut as soon as `cut` says so: nothing is its outcome.
    pub(crate) fn run_until(
        &self,
        workspace: &Workspace,
        channel: Channel<'_>,
        cut: Cut<'_>,
    ) -> Result<Option<Outcome>> {
        packages::install(&NETWORK)?;
        packages::install(&GUEST)?;
        let kernel = Kernel::get(workspace, self.series)?;
        let init = build::init(workspace)?;
        let folder = workspace.target.join("vm");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let boot = BOOTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{boot}", self.series, std::process::id());
        let log = folder.join(format!("{name}.log"));
        let terminal = match channel {
            Channel::Terminal => Some(Terminal::save()?),
            Channel::Output(_) => None,
        };
        let rootfs = Rootfs {
            init: &init,
            kernel: &kernel,
            files: &self.files,
            disks: &self.disks,
            command: &self.command,
            terminal: terminal.as_ref().map(Terminal::size),
        };
        let initramfs = rootfs.write(&folder.join(format!("{name}.cpio")))?;
        step(format!("Booting kernel {} (log: {})", kernel.release, log.display()));
        let start = Instant::now();
        let wire = Wire::new()?;
        let terminals = terminal.is_some();
        let mut qemu = qemu::command(self, &kernel.image()?, &initramfs, (&log, &wire), terminals);
        let ended = self.watch(&mut qemu, &log, channel, cut);
        drop(terminal);
        Ok(ended?.map(|exit| Outcome { exit, elapsed: start.elapsed() }))
    }

    fn watch(
        &self,
        qemu: &mut Command,
        log: &Path,
        channel: Channel<'_>,
        cut: Cut<'_>,
    ) -> Result<Option<i32>> {
        fs::write(log, "").with_context(|| format!("create {}", log.display()))?;
        let mut console = Console::open(log)?;
        let output = match channel {
            Channel::Terminal => None,
            Channel::Output(to) => {
                // QEMU must not touch the settings of a terminal that the guest does not get.
                if io::stdin().is_terminal() {
                    qemu.stdin(Stdio::null());
                }
                qemu.stdout(Stdio::piped()).stderr(Stdio::piped());
                Some(to)
            }
        };
        let mut child = qemu.spawn().context("start qemu-system-x86_64")?;
        let bytes = AtomicU64::new(0);
        thread::scope(|scope| {
            if let (Some(to), Some(from)) = (output, child.stdout.take()) {
                scope.spawn(|| relay(from, to, &bytes));
            }
            if let Some(from) = child.stderr.take() {
                scope.spawn(|| relay(from, io::stderr(), &bytes));
            }
            let ended = self.wait(&mut child, &mut console, &bytes, cut);
            if matches!(ended, Ok(End::Cut)) {
                // No signal that QEMU could answer: it must not write what it has in its memory.
                child.kill().context("kill QEMU")?;
                child.wait().context("wait for QEMU")?;
                return Ok(None);
            }
            let status = end(&mut child);
            console.advance()?;
            let problem = match (ended?, status?) {
                (End::Problem(problem), _) => Some(problem),
                (_, status) => (!status.success()).then(|| format!("QEMU: {status}")),
            };
            // The kernel's own words first, then the clock's.
            let problem = console.lost().map(str::to_owned).or(problem);
            match (problem, console.verdict()) {
                (None, Ok(verdict)) => Ok(Some(verdict.0)),
                (Some(problem), _) => Err(lost(&console, log, &problem)),
                (None, Err(error)) => Err(lost(&console, log, &error.to_string())),
            }
        })
    }

    /// Waits until QEMU ends by itself or must be ended.
    fn wait(
        &self,
        child: &mut Child,
        console: &mut Console,
        bytes: &AtomicU64,
        cut: Cut<'_>,
    ) -> Result<End> {
        let start = Instant::now();
        let (mut heard, mut seen) = (Instant::now(), 0);
        loop {
            if child.try_wait().context("wait for QEMU")?.is_some() {
                return Ok(End::Itself);
            }
            if cut() {
                return Ok(End::Cut);
            }
            let now = bytes.load(Ordering::Relaxed);
            if console.advance()? || now != seen {
                (heard, seen) = (Instant::now(), now);
            }
            if console.lost().is_some() && heard.elapsed() > LAST_WORDS {
                return Ok(End::Problem("the kernel is lost".to_owned()));
            }
            if start.elapsed() > self.timeout {
                return Ok(End::Problem(format!("not done after {:?}", self.timeout)));
            }
            if heard.elapsed() > self.silence {
                return Ok(End::Problem(format!("no output for {:?}", self.silence)));
            }
            thread::sleep(LOOK);
        }
    }
}

fn lost(console: &Console, log: &Path, problem: &str) -> anyhow::Error {
    eprintln!("{}", console.tail(TAIL));
    anyhow::anyhow!("{problem} (console log: {})", log.display())
}

/// Copies until the end, counting, so that silence can be noticed.
fn relay(mut from: impl Read, mut to: impl Write, bytes: &AtomicU64) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => {
                bytes.fetch_add(length as u64, Ordering::Relaxed);
                to.write_all(&buffer[..length])?;
                to.flush()?;
            }
        }
    }
}

/// Ends QEMU if it still runs: politely, so that it restores what it changed, then by force.
fn end(child: &mut Child) -> Result<ExitStatus> {
    if let Some(status) = child.try_wait().context("wait for QEMU")? {
        return Ok(status);
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
    kill(pid, Signal::SIGTERM).context("end QEMU")?;
    let start = Instant::now();
    while start.elapsed() < END {
        if let Some(status) = child.try_wait().context("wait for QEMU")? {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
    child.kill().context("kill QEMU")?;
    child.wait().context("wait for QEMU")
}
