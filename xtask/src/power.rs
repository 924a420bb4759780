//! Guests that lose their power while they write: QEMU is killed, and the next guest starts on
//! the same disk.
//!
//! The disk has a volatile cache. What the guest flushed is in this machine's file; what was
//! only in the guest's memory is gone with it. (What the guest handed to its disk and did not
//! flush survives here: a real disk may lose that as well.)

use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::disk::Disk;
use crate::kernel::Series;
use crate::machine::{Channel, Machine};
use crate::run::guest_programs;
use crate::tally::Counter;
use crate::workspace::Workspace;

/// The test's name, for filters.
pub(crate) const NAME: &str = "power::flushed_writes_survive";
/// How often the power is cut. Each costs a boot.
const CUTS: u32 = 3;
/// The latest moment of a cut, counted from the first flushed write.
const LATEST: Duration = Duration::from_secs(3);
/// The folder of the guest that the disk is mounted on.
const FOLDER: &str = "/data";

/// What a guest said so far.
#[derive(Debug, Default)]
struct Said {
    /// Flushed and unflushed writes of the guests before.
    found: Option<(u64, u64)>,
    /// Its last flushed write.
    flushed: u64,
    /// When its first write was flushed.
    since: Option<Instant>,
}

/// Reads what a guest says, line by line.
struct Reader<'a> {
    said: &'a Mutex<Said>,
    line: Vec<u8>,
}

impl Write for Reader<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = mem::take(&mut self.line);
                let Ok(mut said) = self.said.lock() else { continue };
                said.hear(String::from_utf8_lossy(&line).trim_end());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
        match words[0] {
            "found" => self.found = number(1).zip(number(2)),
            "flushed" => {
                self.flushed = number(1).unwrap_or(self.flushed);
                self.since.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
    }
}

/// Runs the test and prints its result as other runners do; whether it passed.
pub(crate) fn run(
    workspace: &Workspace,
    series: Series,
    programs: &Path,
    counter: &mut Counter,
) -> Result<bool> {
    let seed = fastrand::u64(..);
    let start = Instant::now();
    let ended = flushed_writes_survive(workspace, series, programs, seed);
    let seconds = start.elapsed().as_secs_f32();
    let (verdict, counts) = match &ended {
        Ok(said) => (format!("ok ({seconds:.1} s)\n  {said}"), "1 passed, 0 failed"),
        Err(error) => (format!("FAILED ({seconds:.1} s)\n  {error:#}"), "0 passed, 1 failed"),
    };
    writeln!(counter, "test {NAME} ... {verdict}\n  seed {seed}\n{counts}").context("print")?;
    Ok(ended.is_ok())
}

fn flushed_writes_survive(
    workspace: &Workspace,
    series: Series,
    programs: &Path,
    seed: u64,
) -> Result<String> {
    let folder = workspace.target.join("vm");
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let folder = tempfile::tempdir_in(&folder).context("make a folder for the disk")?;
    let mut random = fastrand::Rng::with_seed(seed);
    let command = ["netpath-sandbox", "power", FOLDER].map(str::to_owned).into();
    let mut machine = Machine::new(series, command);
    machine.files = guest_programs(programs);
    machine.disks.push(Disk::kept(folder.path().join("disk.ext4"), FOLDER)?);
    let (mut flushed, mut before, mut lost) = (0, 0, 0);
    for cut in 0..=CUTS {
        // The last guest only says what it found.
        let delay = if cut < CUTS { random.u64(..millis(LATEST)) } else { 0 };
        let said = Mutex::default();
        let mut reader = Reader { said: &said, line: Vec::new() };
        let due = || {
            let since = said.lock().ok().and_then(|said: MutexGuard<'_, Said>| said.since);
            since.is_some_and(|since| since.elapsed() >= Duration::from_millis(delay))
        };
        machine
            .run_until(workspace, Channel::Output(&mut reader), &due)
            .with_context(|| format!("guest {cut}"))?;
        let said = said.into_inner().map_err(|_| anyhow!("the reader panicked"))?;
        let (kept, unflushed) = said.found.context("a guest did not say what it found")?;
        ensure!(kept >= flushed, "{flushed} writes were flushed, {kept} are there");
        // Of what the guest before wrote: each line went to both files.
        lost += kept.saturating_sub(before.max(unflushed));
        (flushed, before) = (said.flushed, kept);
    }
    ensure!(flushed > 0, "no write was flushed");
    ensure!(lost > 0, "nothing that was not flushed was lost: the cut is none");
    Ok(format!("{CUTS} power cuts, {flushed} flushed writes kept, {lost} others lost"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
