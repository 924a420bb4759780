//! A node's agent as a process, and the operator's command that talks to it.

mod programs;
mod settings;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::IpAddr,
    os::unix::net::UnixStream,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;

pub use self::{
    programs::Programs,
    settings::{Files, Settings},
};
use super::{
    address::Family,
    command,
    counter::Counter,
    server::ECHO_PORT,
    topology::{INTERFACE, Place, Pod},
    wait,
};

/// How long an agent may take to load, attach and answer: an emulated guest verifies slowly.
const START: Duration = Duration::from_mins(1);
/// How long an agent may take to end.
const STOP: Duration = Duration::from_secs(20);

/// A running agent; it is killed when dropped.
#[derive(Debug)]
pub struct Agent {
    /// Its files.
    pub files: Files,
    programs: Programs,
    child: Child,
}

/// What the dataplane says that it will do with a flow.
#[derive(Debug, Deserialize)]
struct Explanation {
    verdict: Verdict,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    path: String,
}

impl Agent {
    /// Starts the agent in a node's namespace.
    pub fn spawn(programs: &Programs, node: &Place, files: &Files) -> Result<Self> {
        Self::spawn_changed(programs, node, files, |_| ())
    }

    /// The same by a command that is changed before it runs.
    pub fn spawn_changed(
        programs: &Programs,
        node: &Place,
        files: &Files,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&files.log)
            .with_context(|| format!("open {}", files.log.display()))?;
        let mut command = node.namespace.command(programs.agent());
        command.args(["run", "--config"]).arg(&files.config);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        change(&mut command);
        let child =
            command.spawn().with_context(|| format!("start {}", programs.agent().display()))?;
        Ok(Self { files: files.clone(), programs: programs.clone(), child })
    }

    /// Waits until the agent's socket answers.
    pub fn wait(&mut self) -> Result<()> {
        wait::until("the agent's socket answers", START, || {
            self.check_running()?;
            // Asking before there is a socket would only take time from the agent.
            let asked = self.files.socket.exists().then(|| self.netpath(&["status"]));
            Ok(asked.and_then(Result::ok).map(drop))
        })
        .with_context(|| format!("log {}", self.files.log.display()))
    }

    /// Starts the agent and waits until its socket answers.
    pub fn start(programs: &Programs, node: &Place, files: &Files) -> Result<Self> {
        let mut agent = Self::spawn(programs, node, files)?;
        agent.wait().with_context(|| node.name)?;
        Ok(agent)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended by itself.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the agent ended, {status}: {}", self.last_words()),
        }
    }

    /// Ends the process by a signal and waits until it is gone.
    pub fn end(mut self, signal: Signal) -> Result<Files> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).with_context(|| format!("send {signal} to the agent"))?;
        wait::until("the agent ends", STOP, || Ok(self.child.try_wait()?))?;
        Ok(self.files.clone())
    }

    /// Runs `netpath` against this agent and returns what it printed.
    pub fn netpath(&self, arguments: &[&str]) -> Result<String> {
        let mut netpath = Command::new(self.programs.netpath());
        command::run(netpath.arg("--socket").arg(&self.files.socket).args(arguments))
    }

    /// The same with `input` on its standard input.
    pub fn netpath_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut netpath = Command::new(self.programs.netpath());
        let netpath = netpath.arg("--socket").arg(&self.files.socket).args(arguments);
        command::run_with_input(netpath, input)
    }

    /// The same, whether it fails or not.
    pub fn netpath_output(&self, arguments: &[&str]) -> Result<Output> {
        let mut netpath = Command::new(self.programs.netpath());
        command::output(netpath.arg("--socket").arg(&self.files.socket).args(arguments))
    }

    /// The same for output in JSON.
    pub fn netpath_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = self.netpath(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("netpath {arguments:?}: {text:?}"))
    }

    /// Sends a request to the agent's API, by a connection of its own, and returns the answer's body. For
    /// what is asked so often that starting `netpath` would take too long.
    pub fn post(&self, path: &str, body: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.files.socket).context("connect to the agent")?;
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: agent\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("read the agent's answer")?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "POST {path}: {answer}");
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Whether the agent is ready; a process would take longer than the answer.
    pub fn is_ready(&self) -> Result<()> {
        let mut connection = UnixStream::connect(&self.files.socket)?;
        let ask = b"GET /v1/ready HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
        connection.write_all(ask)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }

    /// The dataplane's counters on this node.
    pub fn counters(&self) -> Result<Vec<Counter>> {
        let counters = self.netpath_json(&["counters"])?;
        serde_json::from_value(counters).context("read the counters")
    }

    /// Attaches a pod.
    pub fn add_endpoint(&self, pod: &Pod) -> Result<()> {
        let Pod { place, node: _, subnet } = pod;
        let gateway = subnet.gateway();
        self.netpath(&[
            "endpoint",
            "add",
            place.name,
            "--netns",
            &place.namespace.path().to_string_lossy(),
            "--parent",
            INTERFACE,
            "--interface",
            INTERFACE,
            "--address",
            &format!("{}/24", place.address.v4),
            "--address",
            &format!("{}/64", place.address.v6),
            "--gateway",
            &gateway.of(Family::Ipv4).to_string(),
            "--gateway",
            &gateway.of(Family::Ipv6).to_string(),
        ])?;
        Ok(())
    }

    /// The path of packets to the echo service, as `netpath explain` says.
    pub fn path(&self, from: IpAddr, to: IpAddr) -> Result<String> {
        let [from, to, port] = [from.to_string(), to.to_string(), ECHO_PORT.to_string()];
        let answer =
            self.netpath_json(&["explain", &from, &to, "--proto", "tcp", "--dport", &port])?;
        let Explanation { verdict } =
            serde_json::from_value(answer).with_context(|| format!("explain {from} {to}"))?;
        Ok(verdict.path)
    }

    /// The end of the agent's log, on one line.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.files.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `netpath-agent cleanup` in a node's namespace.
pub fn cleanup(programs: &Programs, node: &Place, files: &Files) -> Result<String> {
    let mut agent = node.namespace.command(programs.agent());
    command::run(agent.args(["cleanup", "--config"]).arg(&files.config))
}
