//! A node's agent as a process, and the operator's command that talks to it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;

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

/// Where the programs under test are.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
    agent: &'static str,
}

/// The daemon.
const AGENT: &str = "netpath-agent";
/// The same with another ABI number, see `netpath_common::ABI`.
const NEXT_AGENT: &str = "netpath-agent-next";

impl Programs {
    /// Looks for the programs in `folder`.
    pub fn find(folder: PathBuf) -> Result<Self> {
        for program in [AGENT, "netpath", "netpath-cni"] {
            let path = folder.join(program);
            if !path.is_file() {
                bail!("{}: not found; build it, or name its folder by --programs", path.display());
            }
        }
        Ok(Self { folder, agent: AGENT })
    }

    /// The same with the daemon of another version, if it was built.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        let next = Self { folder: self.folder.clone(), agent: NEXT_AGENT };
        next.agent().is_file().then_some(next)
    }

    /// Their folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The daemon.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.folder.join(self.agent)
    }

    /// The operator's command.
    #[must_use]
    pub fn netpath(&self) -> PathBuf {
        self.folder.join("netpath")
    }

    /// The CNI plugin.
    #[must_use]
    pub fn plugin(&self) -> PathBuf {
        self.folder.join("netpath-cni")
    }
}

/// How the agents of a sandbox are configured; words as in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Settings {
    /// How pods are attached.
    #[arg(long, default_value = "ipvlan-l2", value_parser = ["ipvlan-l2", "ipvlan-l3", "ipvlan-l3s", "macvlan", "policy-route"])]
    pub attachment: String,
    /// Who switches between pods of one node.
    #[arg(long, default_value = "parent", value_parser = ["parent", "driver"])]
    pub switching: String,
    /// Where the XDP program runs.
    #[arg(long, default_value = "off", value_parser = ["off", "native", "generic", "auto"])]
    pub xdp: String,
    /// The generation of TC hooks.
    #[arg(long, default_value = "auto", value_parser = ["auto", "tcx", "netlink"])]
    pub attach: String,
    /// Policy-route pods pass the host stack by.
    #[arg(skip = true)]
    pub accelerate: bool,
    /// Routes: prefix and path.
    #[arg(skip = service_routes())]
    pub routes: Vec<(String, String)>,
    /// What else stands in the file, such as pools.
    #[arg(skip)]
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attachment: "ipvlan-l2".into(),
            switching: "parent".into(),
            xdp: "off".into(),
            attach: "auto".into(),
            accelerate: true,
            routes: service_routes(),
            more: String::new(),
        }
    }
}

/// Services are the host stack's business.
fn service_routes() -> Vec<(String, String)> {
    ["10.96.0.0/16", "fd00:96::/64"].map(|prefix| (prefix.into(), "kernel".into())).into()
}

/// The files of one node's agent: what stays when the process ends.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration.
    pub config: PathBuf,
    /// The API's socket.
    pub socket: PathBuf,
    /// The folder of the store.
    pub state: PathBuf,
    /// Pinned maps and links.
    pub pins: PathBuf,
    /// What the agent logged.
    pub log: PathBuf,
}

impl Files {
    /// Writes a configuration below `folder`, for pins named after `unique`.
    pub fn write(folder: &Path, unique: &str, settings: &Settings) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let files = Self {
            config: folder.join("netpath.toml"),
            socket: folder.join("agent.sock"),
            state: folder.join("state"),
            pins: Path::new("/sys/fs/bpf").join(unique),
            log: folder.join("agent.log"),
        };
        let text = configuration(&files, settings)?;
        fs::write(&files.config, text)
            .with_context(|| format!("write {}", files.config.display()))?;
        Ok(files)
    }
}

fn configuration(files: &Files, settings: &Settings) -> Result<String> {
    let Files { config: _, socket, state, pins, log: _ } = files;
    let Settings { attachment, switching, xdp, attach, accelerate, routes, more } = settings;
    let mut text = String::new();
    let (socket, state, pins) = (socket.display(), state.display(), pins.display());
    writeln!(text, "[agent]\nsocket = '{socket}'\nstate = '{state}'\npins = '{pins}'")?;
    writeln!(text, "[log]\nlevel = \"info\"")?;
    writeln!(text, "[datapath]\nattach = {attach:?}")?;
    // Small: the kernel zeroes preallocated maps, which an emulated guest feels.
    writeln!(text, "[capacity]\nendpoints = 1000\nroutes = 1000\nflows = 4096")?;
    writeln!(text, "[[parent]]\nname = {INTERFACE:?}\nattachment = {attachment:?}")?;
    writeln!(text, "switching = {switching:?}\nxdp = {xdp:?}\naccelerate = {accelerate}")?;
    for (prefix, path) in routes {
        writeln!(text, "[[route]]\nprefix = {prefix:?}\npath = {path:?}")?;
    }
    text.push_str(more);
    Ok(text)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_names_the_files_and_the_routes() {
        let files = Files {
            config: "/x/netpath.toml".into(),
            socket: "/x/agent.sock".into(),
            state: "/x/state".into(),
            pins: "/sys/fs/bpf/x".into(),
            log: "/x/agent.log".into(),
        };
        let settings = Settings::default();
        let text = configuration(&files, &settings).unwrap();
        assert!(text.contains("socket = '/x/agent.sock'\n"), "{text}");
        assert!(text.ends_with("prefix = \"fd00:96::/64\"\npath = \"kernel\"\n"), "{text}");
    }
}
