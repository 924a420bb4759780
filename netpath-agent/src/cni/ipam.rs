//! IPAM plugins: programs that choose addresses, started by the plugin that uses them, with the
//! same environment and configuration.

use std::{
    env,
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use serde::Deserialize;

use super::{
    Error, Verb,
    config::{self, invalid, shorten},
    result::Answer,
};

/// Bytes of the longest answer that is read.
const LIMIT: u64 = 1 << 20;

/// An IPAM plugin.
#[derive(Debug)]
pub(super) struct Ipam {
    name: String,
    program: PathBuf,
}

/// What a plugin says when it fails.
#[derive(Deserialize)]
struct Report {
    code: u32,
    msg: String,
    #[serde(default)]
    details: String,
}

impl Ipam {
    /// Looks for a plugin in `CNI_PATH`.
    pub(super) fn find(name: &str, path: &OsStr) -> Result<Self, Error> {
        env::split_paths(path)
            .map(|folder| folder.join(name))
            .find(|program| program.is_absolute() && program.is_file())
            .map(|program| Self { name: name.to_owned(), program })
            .ok_or_else(|| {
                let path = path.to_string_lossy();
                invalid("ipam.type", format!("no program {name} in CNI_PATH={}", shorten(&path)))
            })
    }

    /// Asks for addresses.
    pub(super) fn add(&self, config: &[u8]) -> Result<Answer, Error> {
        let output = self.run(Verb::Add, config)?;
        config::read(&output).map_err(|error| self.failed(102, error.to_string()))
    }

    /// Runs a verb and returns what the plugin wrote.
    pub(super) fn run(&self, verb: Verb, config: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Io {
            action: format!("run IPAM plugin {}", self.program.display()),
            source,
        };
        let (output, success) = self.start(verb, config).map_err(failed)?;
        if success {
            return Ok(output);
        }
        Err(match serde_json::from_slice(&output) {
            Ok(Report { code, msg, details }) if details.is_empty() => self.failed(code, msg),
            Ok(Report { code, msg, details }) => self.failed(code, format!("{msg}: {details}")),
            Err(_) => self.failed(102, "failed without saying why".to_owned()),
        })
    }

    fn start(&self, verb: Verb, config: &[u8]) -> io::Result<(Vec<u8>, bool)> {
        let mut child = Command::new(&self.program)
            .env("CNI_COMMAND", verb.text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut output = Vec::new();
        let read = thread::scope(|scope| {
            // A plugin may answer before it has read everything: both directions at once.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(config)));
            stdout.map_or(Ok(0), |stdout| stdout.take(LIMIT).read_to_end(&mut output))
        });
        let status = child.wait()?;
        read?;
        Ok((output, status.success()))
    }

    fn failed(&self, code: u32, message: String) -> Error {
        Error::Ipam { plugin: self.name.clone(), code, message }
    }
}
