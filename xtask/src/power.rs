//! Guests that lose their power while they write, or while an agent does: QEMU is killed, and the
//! next guest starts on the same disk.
//!
//! The disk has a volatile cache. What the guest flushed is in this machine's file; what was
//! only in the guest's memory is gone with it. (What the guest handed to its disk and did not
//! flush survives here: a real disk may lose that as well.)

use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::disk::Disk;
use crate::kernel::Series;
use crate::machine::{Channel, Machine};
use crate::run::guest_programs;
use crate::tally::Counter;
use crate::test::Args;
use crate::workspace::Workspace;

/// The tests' names, for filters.
pub(crate) const NAMES: [&str; 2] = [WRITES, AGENT];
const WRITES: &str = "power::flushed_writes_survive";
const AGENT: &str = "power::agent_keeps_its_promises";
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

/// A test with its power cuts.
struct Test<'a> {
    workspace: &'a Workspace,
    series: Series,
    programs: &'a Path,
    seed: u64,
    cuts: u32,
}

/// Runs the tests and prints their results as other runners do; whether they passed.
pub(crate) fn run(
    workspace: &Workspace,
    series: Series,
    programs: &Path,
    args: &Args,
    counter: &mut Counter,
) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let test = Test { workspace, series, programs, seed, cuts: args.cuts };
    let (mut passed, mut failed) = (0, 0);
    for name in NAMES {
        if args.filter.as_ref().is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let start = Instant::now();
        let ended = if name == AGENT { test.agent() } else { test.writes() };
        let seconds = start.elapsed().as_secs_f32();
        let verdict = match &ended {
            Ok(said) => format!("ok ({seconds:.1} s)\n  {said}"),
            Err(error) => format!("FAILED ({seconds:.1} s)\n  {error:#}"),
        };
        *(if ended.is_ok() { &mut passed } else { &mut failed }) += 1;
        writeln!(counter, "test {name} ... {verdict}\n  seed {seed}").context("print")?;
    }
    writeln!(counter, "{passed} passed, {failed} failed").context("print")?;
    Ok(failed == 0)
}

impl Test<'_> {
    /// What was flushed is there after a power cut, and other writes are not.
    fn writes(&self) -> Result<String> {
        let (mut flushed, mut before, mut lost) = (0, 0, 0);
        self.cut_again(&[], |said| {
            let (kept, unflushed) = said.found.context("a guest did not say what it found")?;
            ensure!(kept >= flushed, "{flushed} writes were flushed, {kept} are there");
            // Of what the guest before wrote: each line went to both files.
            lost += kept.saturating_sub(before.max(unflushed));
            (flushed, before) = (said.flushed, kept);
            Ok(())
        })?;
        ensure!(flushed > 0, "no write was flushed");
        ensure!(lost > 0, "nothing that was not flushed was lost: the cut is none");
        Ok(format!("{} power cuts, {flushed} flushed writes kept, {lost} others lost", self.cuts))
    }

    /// What runtimes were told of owners' addresses holds after a power cut. The guest compares,
    /// and ends by itself if something is wrong.
    fn agent(&self) -> Result<String> {
        let mut told = 0;
        self.cut_again(&["--agent"], |said| {
            let (kept, _) = said.found.context("a guest did not say what it found")?;
            ensure!(kept >= told, "{told} owners were told their addresses, {kept} are known");
            told = said.flushed;
            Ok(())
        })?;
        ensure!(told > 0, "no owner was told its addresses");
        Ok(format!("{} power cuts, {told} owners with their addresses", self.cuts))
    }

    /// Runs guests on one disk. The last one only says what it found.
    fn cut_again(&self, more: &[&str], mut check: impl FnMut(&Said) -> Result<()>) -> Result<()> {
        let Self { workspace, series, programs, seed, cuts } = *self;
        let folder = workspace.target.join("vm");
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let folder = tempfile::tempdir_in(&folder).context("make a folder for the disk")?;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut machine = Machine::new(series, Vec::new());
        machine.files = guest_programs(programs);
        machine.disks.push(Disk::kept(folder.path().join("disk.ext4"), FOLDER)?);
        for cut in 0..=cuts {
            let delay = if cut < cuts { random.u64(..millis(LATEST)) } else { 0 };
            let own = random.u64(..).to_string();
            let words = ["netpath-sandbox", "power", FOLDER, "--seed", &own];
            machine.command = words.iter().chain(more).map(|word| (*word).to_owned()).collect();
            let said = Mutex::default();
            let mut reader = Reader { said: &said, line: Vec::new() };
            let due = || {
                let since = said.lock().ok().and_then(|said: MutexGuard<'_, Said>| said.since);
                since.is_some_and(|since| since.elapsed() >= Duration::from_millis(delay))
            };
            let outcome = machine
                .run_until(workspace, Channel::Output(&mut reader), &due)
                .with_context(|| format!("guest {cut}"))?;
            if let Some(outcome) = outcome {
                bail!("guest {cut} ended before its power was cut: {outcome}");
            }
            let said = said.into_inner().map_err(|_| anyhow!("the reader panicked"))?;
            check(&said).with_context(|| format!("guest {cut}"))?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
