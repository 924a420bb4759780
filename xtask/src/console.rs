//! Reading a guest's console log while it grows: is the guest lost, and how did it end?

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xtask::guest::Verdict;

/// What the kernel prints when it can not go on, or not be trusted any more.
const LOST: [&str; 9] = [
    "Kernel panic - not syncing",
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "soft lockup",
    "rcu_sched detected",
    "rcu_preempt detected",
    "self-detected stall",
    "blocked for more than",
];

/// A console log that is being written.
#[derive(Debug)]
pub(crate) struct Console {
    log: File,
    text: String,
}

impl Console {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let log = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { log, text: String::new() })
    }

    /// Reads what is new; whether anything was.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        let mut new = Vec::new();
        let length = self.log.read_to_end(&mut new).context("read the console log")?;
        self.text.push_str(&String::from_utf8_lossy(&new));
        Ok(length > 0)
    }

    /// The first line that says that the kernel is lost.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.text.lines().find(|line| LOST.iter().any(|mark| kernel_says(line, mark)))
    }

    /// The one verdict. None means that the guest ended early, two that something forged one.
    pub(crate) fn verdict(&self) -> Result<Verdict> {
        let mut verdicts = self.text.lines().filter_map(Verdict::from_console_line);
        match (verdicts.next(), verdicts.next()) {
            (Some(verdict), None) => Ok(verdict),
            (None, _) => bail!("the guest ended without a verdict"),
            (Some(first), Some(second)) => bail!("two verdicts: {first} and {second}"),
        }
    }

    /// The last lines, for people.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let all: Vec<_> = self.text.lines().map(str::trim_end).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Whether a mark stands in a line that the kernel wrote: after its time stamp.
fn kernel_says(line: &str, mark: &str) -> bool {
    line.starts_with('[') && line.contains(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(text: &str) -> Console {
        Console { log: File::open("/dev/null").unwrap(), text: text.to_owned() }
    }

    #[test]
    fn exactly_one_verdict_counts() {
        let one = "[    1.0] netpath-init: 60 modules loaded\n[    2.0] netpath-init: exit 3\n";
        assert_eq!(console(one).verdict().unwrap(), Verdict(3));
        assert!(console("[    1.0] Linux version 6.1\n").verdict().is_err());
        assert!(console(&format!("{one}{one}")).verdict().is_err());
    }

    #[test]
    fn a_lost_kernel_is_seen() {
        let panic = "[    1.0] all well\n[    2.0] Kernel panic - not syncing: sysrq\n";
        assert!(console(panic).lost().unwrap().contains("sysrq"));
        let lockup = "[   60.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!\n";
        assert!(console(lockup).lost().is_some());
        assert_eq!(console("[    1.0] debug: nothing\n").lost(), None);
    }

    #[test]
    fn the_tail_is_the_end() {
        assert_eq!(console("a\nb\r\nc\n").tail(2), "b\nc");
    }
}
