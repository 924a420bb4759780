//! Running other programs: output captured, failure explained by what they said.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Runs to the end and returns standard output; a failing program is an error that carries its
/// command line and what it printed on standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{}: {}: {}", line(command), output.status, said(&output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{}: output", line(command)))
}

/// Runs to the end, whatever the exit code is.
pub fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("start {}", line(command)))
}

/// Runs with `input` on standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", line(command)))?;
    let mut pipe = child.stdin.take().context("no pipe to the program")?;
    pipe.write_all(input.as_bytes()).with_context(|| format!("write to {}", line(command)))?;
    drop(pipe);
    let output = child.wait_with_output().with_context(|| format!("wait for {}", line(command)))?;
    if !output.status.success() {
        bail!("{}: {}: {}\n{input}", line(command), output.status, said(&output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{}: output", line(command)))
}

/// Whether a program of this name is on the search path.
#[must_use]
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_carries_command_and_complaint() {
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("sh -c"), "{text}");
        assert!(text.ends_with("exit status: 3: no"), "{text}");
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(run_with_input(&mut Command::new("cat"), "hello").unwrap(), "hello");
    }
}
