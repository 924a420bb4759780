//! Counting tests by what their runner really printed.

use std::io::{self, Write};
use std::mem;

/// Passed and failed tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The counts of a runner's closing line: cargo's `test result: ok. 3 passed; 0 failed; ..`
    /// or the sandbox's `3 passed, 0 failed, ..`.
    fn from_line(line: &str) -> Option<Self> {
        let counts = match line.strip_prefix("test result: ") {
            Some(result) => result.split_once(". ")?.1,
            None => line,
        };
        let mut parts = counts.split([';', ',']).map(str::trim);
        let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
        let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
        Some(Self { passed, failed })
    }
}

/// Passes a test runner's output on, line by line with a prefix, and counts meanwhile.
pub(crate) struct Counter {
    to: Box<dyn Write + Send>,
    prefix: String,
    line: Vec<u8>,
    /// None until the runner printed counts, even counts of nothing.
    tally: Option<Tally>,
    failures: Vec<Failure>,
    /// Whether the last line belongs to a failure.
    explaining: bool,
}

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    /// The first lines of why, where the runner says it in indented lines below the verdict.
    pub(crate) why: Vec<String>,
}

/// Of a failure's reason, so many lines are repeated below the closing table.
const WHY: usize = 6;

impl Counter {
    pub(crate) fn new(to: Box<dyn Write + Send>, prefix: &str) -> Self {
        Self {
            to,
            prefix: prefix.to_owned(),
            line: Vec::new(),
            tally: None,
            failures: Vec::new(),
            explaining: false,
        }
    }

    /// The counts, and the tests that failed.
    pub(crate) fn finish(mut self) -> io::Result<(Option<Tally>, Vec<Failure>)> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok((self.tally, self.failures))
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some(tally) = Tally::from_line(line) {
            self.tally.get_or_insert_default().add(tally);
        }
        if let Some((name, verdict)) =
            line.strip_prefix("test ").and_then(|l| l.split_once(" ... "))
            && verdict.starts_with("FAILED")
        {
            self.failures.push(Failure { name: name.to_owned(), why: Vec::new() });
            self.explaining = true;
        } else if let Some(failure) = self.failures.last_mut()
            && self.explaining
            && let Some(why) = line.strip_prefix("  ")
        {
            if failure.why.len() < WHY {
                failure.why.push(why.to_owned());
            }
        } else {
            self.explaining = false;
        }
        // One call a line: several guests may print at once.
        self.to.write_all(format!("{}{line}\n", self.prefix).as_bytes())
    }
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        let tally = |passed, failed| Some(Tally { passed, failed });
        let cargo = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(Tally::from_line(cargo), tally(12, 0));
        let cargo = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(Tally::from_line(cargo), tally(3, 2));
        assert_eq!(Tally::from_line("7 passed, 1 failed, 0 ignored"), tally(7, 1));
        assert_eq!(Tally::from_line("7 passed, 1 failed"), tally(7, 1));
        assert_eq!(Tally::from_line("test a ... ok"), None);
        assert_eq!(Tally::from_line("running 7 tests"), None);
    }

    #[test]
    fn output_in_pieces_is_counted_once() {
        let mut counter = Counter::new(Box::new(io::sink()), "");
        for piece in
            ["test a ... ", "ok (1.0 s)\ntest b ... FAILED (2.0 s)\n  why\n1 pas", "sed, 1 failed"]
        {
            counter.write_all(piece.as_bytes()).unwrap();
        }
        let (tally, failures) = counter.finish().unwrap();
        assert_eq!(tally, Some(Tally { passed: 1, failed: 1 }));
        assert_eq!(failures, [Failure { name: "b".into(), why: vec!["why".into()] }]);
    }
}
