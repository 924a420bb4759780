//! A plugin, started once for each verb.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// Where a plugin is to work.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The file of a container's network namespace, in which there is nothing but `lo`.
    pub netns: PathBuf,
    /// Where plugins are.
    pub plugins: PathBuf,
}

impl Ground {
    /// A configuration with what is always needed.
    #[must_use]
    pub fn config(&self, version: &str) -> Value {
        json!({
            "cniVersion": version,
            "name": "underlay",
            "type": "netpath-cni",
            "socket": self.socket,
        })
    }

    /// A start with all that a verb may have.
    #[must_use]
    pub fn call(&self, verb: &str, container: &str, config: &Value) -> Invocation {
        let environment = [
            ("CNI_COMMAND", verb.into()),
            ("CNI_CONTAINERID", container.into()),
            ("CNI_NETNS", self.netns.clone().into_os_string()),
            ("CNI_IFNAME", "eth0".into()),
            ("CNI_PATH", self.plugins.clone().into_os_string()),
        ];
        Invocation { environment: environment.into(), input: config.to_string().into_bytes() }
    }
}

/// A start of a plugin.
#[derive(Clone, Debug)]
pub struct Invocation {
    environment: BTreeMap<&'static str, OsString>,
    input: Vec<u8>,
}

impl Invocation {
    /// With a variable set.
    #[must_use]
    pub fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.insert(variable, value.into());
        self
    }

    /// Without a variable.
    #[must_use]
    pub fn without(mut self, variable: &'static str) -> Self {
        self.environment.remove(variable);
        self
    }

    /// With something else on standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }
}

/// What came of a start.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub complaints: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// Success without a word, as all verbs but ADD and VERSION have it.
    pub fn silence(&self) -> Result<()> {
        ensure!(self.status == Some(0) && self.output.is_empty(), "expected silence: {self:?}");
        Ok(())
    }

    /// Success with an answer.
    pub fn answer(&self) -> Result<Value> {
        ensure!(self.status == Some(0), "expected success: {self:?}");
        serde_json::from_slice(&self.output).with_context(|| format!("no JSON: {self:?}"))
    }

    /// Failure as the specification wants it. Returns the code, and the message with its details.
    pub fn error(&self) -> Result<(u64, String)> {
        ensure!(self.status == Some(1), "expected exit code 1: {self:?}");
        let report: Value =
            serde_json::from_slice(&self.output).with_context(|| format!("no JSON: {self:?}"))?;
        let text = |key: &str| report[key].as_str().map(str::to_owned);
        let (Some(code), Some(_), Some(message)) =
            (report["code"].as_u64(), text("cniVersion"), text("msg"))
        else {
            bail!("cniVersion, code or msg is missing: {self:?}");
        };
        ensure!(!message.contains('\n'), "more than one line: {message}");
        ensure!(!self.complaints.contains("panicked"), "a panic: {self:?}");
        Ok((code, text("details").map_or(message.clone(), |more| format!("{message}: {more}"))))
    }

    /// Failure with a code, and a text that names what is wrong.
    pub fn refusal(&self, code: u64, about: &str) -> Result<()> {
        let (found, message) = self.error()?;
        ensure!(found == code, "expected code {code}, got {found}: {message}");
        ensure!(message.contains(about), "expected {about:?} in the message: {message}");
        Ok(())
    }
}

/// A plugin's program.
#[derive(Clone, Debug)]
pub struct Plugin {
    program: PathBuf,
}

impl Plugin {
    /// The plugin at a path.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Starts it with nothing but the invocation's environment, and waits for its end.
    pub fn run(&self, invocation: &Invocation) -> Result<Outcome> {
        let Invocation { environment, input } = invocation;
        let start = Instant::now();
        let mut child = Command::new(&self.program)
            .env_clear()
            .envs(environment)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let mut output = Vec::new();
        let mut complaints = String::new();
        thread::scope(|scope| {
            // Whether it reads all of it is the plugin's affair.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
            scope.spawn(|| stderr.map(|mut stderr| stderr.read_to_string(&mut complaints)));
            child.stdout.take().map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut output))
        })?;
        let status = child.wait()?.code();
        Ok(Outcome { status, output, complaints, elapsed: start.elapsed() })
    }
}
