//! Bad input: one line that says what and where, an exit code, and nothing left behind.

use std::{
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

use super::{Bench, Effort, Outcome, Scenario};
use crate::sandbox::{
    agent::{Agent, Files, Settings},
    lab::Lab,
    snapshot::Snapshot,
    topology::INTERFACE,
    wait,
};

/// The file, the parents, the machine, and requests to a running agent.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::once("bad_input::file", |bench| refused(bench, &FILES)),
        Scenario::once("bad_input::parent", |bench| refused(bench, &PARENTS)),
        Scenario::own("bad_input::machine", machine),
        Scenario::shared("bad_input::request", &Settings::default(), 1500, request),
    ]
}

/// A start that must be refused.
struct Case {
    name: &'static str,
    /// `ip` commands on the node that set the trap, and those that take it away.
    trap: (&'static [&'static str], &'static [&'static str]),
    /// Replaced in the configuration; an empty first text appends.
    edit: (&'static str, &'static str),
    /// All of them must stand in the complaint.
    words: &'static [&'static str],
}

const fn file(
    name: &'static str,
    edit: (&'static str, &'static str),
    words: &'static [&'static str],
) -> Case {
    Case { name, trap: (&[], &[]), edit, words }
}

const PARENT_ETH0: &str = "name = \"eth0\"";

const FILES: [Case; 10] = [
    file("unknown key", ("", "colour = 1\n"), &["netpath.toml:", "colour"]),
    file("unknown section", ("[log]", "[lug]"), &["netpath.toml:", "lug"]),
    file("wrong type", ("endpoints = 1000", "endpoints = \"many\""), &["netpath.toml:", "string"]),
    file(
        "no such word",
        ("switching = \"parent\"", "switching = \"bridge\""),
        &["netpath.toml:", "bridge", "driver"],
    ),
    file("same parent twice", ("", "[[parent]]\nname = \"eth0\"\n"), &["parent[1].name", "eth0"]),
    file(
        "host bits",
        ("", "[[route]]\nprefix = \"10.97.0.1/16\"\npath = \"kernel\"\n"),
        &["route[2].prefix", "10.97.0.1/16", "10.97.0.0/16"],
    ),
    file(
        "same route twice",
        (
            "",
            "[[route]]\nprefix = \"fd00:97::/64\"\npath = \"kernel\"\n[[route]]\nprefix = \"fd00:97::/64\"\npath = \"drop\"\n",
        ),
        &["route[3].prefix", "fd00:97::/64"],
    ),
    file(
        "no bpf file system",
        ("pins = '/sys/fs/bpf/", "pins = '/sys/kernel/"),
        &["agent.pins /sys/kernel/", "no bpf file system", "/sys/fs/bpf", "not empty"],
    ),
    file(
        "masquerading what all tables share",
        ("", "[[masquerade]]\ntable = \"main\"\nvpc = [\"10.0.0.0/8\"]\n"),
        &["masquerade[0].table", "main", "another"],
    ),
    file("no capacity", ("routes = 1000", "routes = 0"), &["capacity.routes", "0"]),
];

const PARENTS: [Case; 8] = [
    file("missing", (PARENT_ETH0, "name = \"eth9\""), &["eth9", "no such interface"]),
    file(
        "no such Ethernet address",
        (PARENT_ETH0, "name = \"eth0\"\nmac = \"02:00:00:00:00:99\""),
        &["eth0", "no interface has the Ethernet address 02:00:00:00:00:99", "eth0 ("],
    ),
    Case {
        name: "a VLAN's name is taken",
        trap: (&["link add trap type dummy"], &["link del trap"]),
        edit: (PARENT_ETH0, "name = \"trap\"\nvlan = { on = \"eth0\", id = 7 }"),
        words: &["trap", "VLAN 7 on eth0", "another interface of that name"],
    },
    Case {
        name: "down",
        trap: (&["link add trap type dummy"], &["link del trap"]),
        edit: (PARENT_ETH0, "name = \"trap\""),
        words: &["trap", "is down"],
    },
    Case {
        name: "bridge port",
        trap: (
            &[
                "link add trapbr type bridge",
                "link add trap type dummy",
                "link set trap master trapbr up",
            ],
            &["link del trap", "link del trapbr"],
        ),
        edit: (PARENT_ETH0, "name = \"trap\""),
        words: &["trap", "port of a bridge"],
    },
    Case {
        name: "bond member",
        trap: (
            &[
                "link add trapbond type bond",
                "link add trap type dummy",
                "link set trap master trapbond",
            ],
            &["link del trap", "link del trapbond"],
        ),
        edit: (PARENT_ETH0, "name = \"trap\""),
        words: &["trap", "port of a bond"],
    },
    Case {
        name: "macvlan master",
        trap: (
            &[
                "link add trap type dummy",
                "link set trap up",
                "link add link trap name trapchild type macvlan",
            ],
            &["link del trapchild", "link del trap"],
        ),
        edit: (PARENT_ETH0, "name = \"trap\""),
        words: &["trap", "macvlan", "trapchild"],
    },
    file("loopback", (PARENT_ETH0, "name = \"lo\""), &["lo", "no Ethernet device"]),
];

/// Tries every case on one node and names all that went wrong.
fn refused(bench: &Bench, cases: &[Case]) -> Result<Outcome> {
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    let good = fs::read_to_string(&lab.files[0].config)?;
    let namespace = &lab.topology.nodes[0].namespace;
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let mut failures = Vec::new();
    for Case { name, trap: (set, unset), edit: (from, to), words } in cases {
        let text = if from.is_empty() { format!("{good}{to}") } else { good.replace(from, to) };
        ensure!(text != good, "{name}: the case changes nothing");
        fs::write(&lab.files[0].config, text)?;
        namespace.ip(&lines(set))?;
        if let Err(error) = is_refused(&lab, words, |_| ()) {
            failures.push(format!("{name}: {error:#}"));
        }
        namespace.ip(&lines(unset))?;
    }
    fs::write(&lab.files[0].config, good)?;
    all_refused(&failures)
}

fn all_refused(failures: &[String]) -> Result<Outcome> {
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(Outcome::Passed)
}

/// Starts the agent on node1, which must end by itself with one line that has all the words.
fn is_refused(lab: &Lab, words: &[&str], change: impl FnOnce(&mut Command)) -> Result<()> {
    let node = &lab.topology.nodes[0];
    let files = &lab.files[0];
    let before = Snapshot::take(node, &files.pins)?;
    let complaint = complaint(lab, files, change)?;
    one_line(&complaint, words)?;
    let left = before.differences(&Snapshot::take(node, &files.pins)?);
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    Ok(())
}

/// What the agent prints on standard error until it ends.
fn complaint(lab: &Lab, files: &Files, change: impl FnOnce(&mut Command)) -> Result<String> {
    let said = lab.folder.path().join("complaint");
    let mut command = Command::new(lab.programs.agent());
    command
        .args(["run", "--config"])
        .arg(&files.config)
        .env("NETPATH_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said)?);
    change(&mut command);
    // From inside the namespace: nobody could not enter it.
    let namespace = &lab.topology.nodes[0].namespace;
    let mut agent = namespace.enter(|| command.spawn().context("start the agent"))?;
    let status =
        wait::until("the agent gives up", Duration::from_secs(20), || Ok(agent.try_wait()?));
    if status.is_err() {
        agent.kill()?;
        agent.wait()?;
    }
    ensure!(!status?.success(), "the exit code is 0");
    Ok(fs::read_to_string(said)?)
}

fn one_line(complaint: &str, words: &[&str]) -> Result<()> {
    let complaint = complaint.trim_end();
    ensure!(!complaint.is_empty(), "no word was said");
    ensure!(complaint.lines().count() == 1, "more than a line: {complaint:?}");
    let missing: Vec<_> = words.iter().filter(|word| !complaint.contains(*word)).collect();
    ensure!(missing.is_empty(), "{complaint:?} does not say {missing:?}");
    Ok(())
}

/// Nobody: what containers run as.
const NOBODY: u32 = 65_534;

fn machine(bench: &Bench) -> Result<Outcome> {
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    let files = &lab.files[0];
    let mut failures = Vec::new();
    let mut check = |name: &str, result: Result<()>| {
        failures.extend(result.err().map(|error| format!("{name}: {error:#}")));
    };

    // The folder is root's alone; the configuration of a real node can be read by all.
    fs::set_permissions(lab.folder.path(), Permissions::from_mode(0o755))?;
    let nobody = |command: &mut Command| {
        command.uid(NOBODY).gid(NOBODY);
    };
    check("no root", is_refused(&lab, &["root"], nobody));

    let agent = Agent::start(&lab.programs, &lab.topology.nodes[0], files)?;
    check("second agent", is_refused(&lab, &["another", "agent"], |_| ()));
    ensure!(agent.netpath(&["status"]).is_ok(), "the first agent suffered");
    drop(agent);

    let other = files.pins.join("v99999");
    fs::create_dir_all(&other).with_context(|| format!("make {}", other.display()))?;
    check("pins of another version", takes_over(&lab, &other));
    fs::remove_dir_all(&files.pins)?;

    check("no bpf file system", mounts_bpffs(&lab));
    all_refused(&failures)
}

/// An agent that finds pins of another version says that it takes them over, and leaves none.
fn takes_over(lab: &Lab, other: &Path) -> Result<()> {
    let files = &lab.files[0];
    let agent = Agent::start(&lab.programs, &lab.topology.nodes[0], files)?;
    let log = fs::read_to_string(&files.log)?;
    ensure!(log.contains("taking over from another version"), "it did not say so: {log}");
    ensure!(!other.exists(), "{} is still there", other.display());
    drop(agent);
    Ok(())
}

/// An agent that finds nothing mounted where it pins by custom mounts it itself.
fn mounts_bpffs(lab: &Lab) -> Result<()> {
    let hide = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        umount2("/sys/fs/bpf", MntFlags::MNT_DETACH)?;
        Ok(())
    };
    let files = &lab.files[0];
    let mut agent =
        Agent::spawn_changed(&lab.programs, &lab.topology.nodes[0], files, |command| {
            // SAFETY: the closure makes three system calls, and touches no lock.
            unsafe { command.pre_exec(hide) };
        })?;
    agent.wait()?;
    ensure!(!files.pins.exists(), "it pinned in the file system that it should not see");
    let log = fs::read_to_string(&files.log)?;
    ensure!(log.contains("mounted a bpf file system"), "it did not say that it mounted one: {log}");
    Ok(())
}

/// A request that must be refused, and what the refusal must say.
type Request = (&'static str, &'static [&'static str], &'static [&'static str]);

const ADD: [&str; 5] = ["endpoint", "add", "extra", "--parent", INTERFACE];

const ENDPOINTS: [Request; 6] = [
    ("address of another endpoint", &["--address", "10.0.1.11/24"], &["10.0.1.11", "a1"]),
    ("address of the node", &["--address", "10.0.0.11/24"], &["10.0.0.11", "node"]),
    (
        "same address twice",
        &["--address", "10.0.1.90/24", "--address", "10.0.1.90/24"],
        &["10.0.1.90", "twice"],
    ),
    ("network address", &["--address", "10.0.1.0/24"], &["10.0.1.0/24"]),
    ("foreign gateway", &["--address", "fd00:1::90/64", "--gateway", "fd00:2::1"], &["fd00:2::1"]),
    ("no address at all", &["--address", "10.0.1.300/24"], &["10.0.1.300/24"]),
];

const ROUTES: [Request; 4] = [
    ("host bits", &["route", "add", "10.96.0.1/16", "kernel"], &["10.96.0.1/16", "10.96.0.0/16"]),
    ("no such path", &["route", "add", "fd00:96::/64", "nowhere"], &["nowhere", "kernel"]),
    ("no such endpoint", &["endpoint", "del", "ghost"], &["ghost"]),
    ("no such route", &["route", "del", "fd00:97::/64"], &["fd00:97::/64"]),
];

fn request(lab: &Lab, _: Effort) -> Result<Outcome> {
    // The remote host's namespace stands in for a new pod's.
    let netns = lab.topology.remote.namespace.path();
    let before = endpoints_and_routes(lab)?;
    let mut failures = Vec::new();
    for (name, arguments, words) in ENDPOINTS {
        let netns = netns.to_string_lossy();
        let arguments =
            [ADD.as_slice(), &["--interface", "extra0", "--netns", &netns], arguments].concat();
        failures.extend(refusal(lab, &arguments, words).err().map(|e| format!("{name}: {e:#}")));
    }
    for (name, arguments, words) in ROUTES {
        failures.extend(refusal(lab, arguments, words).err().map(|e| format!("{name}: {e:#}")));
    }
    let missing = Path::new("/run/netns/ghost").to_string_lossy();
    let arguments = [ADD.as_slice(), &["--address", "10.0.1.91/24", "--netns", &missing]].concat();
    let result = refusal(lab, &arguments, &["/run/netns/ghost"]);
    failures.extend(result.err().map(|error| format!("no namespace: {error:#}")));
    ensure!(before == endpoints_and_routes(lab)?, "a refused request changed something");
    all_refused(&failures)
}

fn refusal(lab: &Lab, arguments: &[&str], words: &[&str]) -> Result<()> {
    let output = lab.agents[0].netpath_output(arguments)?;
    ensure!(!output.status.success(), "the exit code is 0");
    one_line(&String::from_utf8_lossy(&output.stderr), words)
}

fn endpoints_and_routes(lab: &Lab) -> Result<[serde_json::Value; 2]> {
    let agent = &lab.agents[0];
    Ok([agent.netpath_json(&["endpoint", "list"])?, agent.netpath_json(&["route", "list"])?])
}
