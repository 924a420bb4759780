//! The scenarios of `cargo xtask test`: in guests, as many at once as there are processors,
//! since one guest keeps one busy.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::build;
use crate::command;
use crate::image;
use crate::kernel::{Kernel, Series};
use crate::machine::{Channel, GuestFile, Machine};
use crate::packages::{self, CLIENTS, GUEST, NETWORK};
use crate::power;
use crate::progress::step;
use crate::qemu::NICS;
use crate::run::guest_programs;
use crate::tally::Counter;
use crate::test::{Args, Tier, tier};
use crate::userland;
use crate::workspace::Workspace;

/// All scenarios on one kernel, emulated.
const LIMIT: Duration = Duration::from_mins(30);
/// The longest scenario takes a minute or two, and prints at its end.
const SILENCE: Duration = Duration::from_mins(6);

/// What a guest is asked to do; each needs another kind of guest. Mostly in order of how long they take:
/// runtimes are timed against each other, and have no scenarios beside them that keep the machine busy.
/// Within a group newer kernels take longer: they have more hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// The sandbox with this machine's programs.
    Scenario,
    /// A disk whose guest loses its power.
    Power,
    /// The sandbox with Debian's container runtimes.
    Runtime,
    /// The sandbox in a guest whose clock counts instructions.
    Cost,
    /// Services at sockets, by a process of the guest itself.
    Sockets,
}

impl Group {
    const ALL: [Self; 5] = [Self::Scenario, Self::Power, Self::Runtime, Self::Cost, Self::Sockets];

    fn name(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Runtime => "runtime",
            Self::Sockets => "sockets",
            Self::Power => "power",
            Self::Cost => "cost",
        }
    }

    /// Kernels, unless the user chose. Runtimes ask nothing of the dataplane that another kernel
    /// would answer differently, but each generation of TC hooks: clsact and tcx. What a disk
    /// keeps is the store's business, and the same everywhere. Costs are compared on one kernel.
    fn kernels(self) -> &'static [Series] {
        match self {
            Self::Scenario | Self::Sockets => &Series::ALL,
            Self::Runtime => &[Series::V6_1, Series::V6_12],
            Self::Power | Self::Cost => &[Series::V6_12],
        }
    }

    /// Whether a scenario is of this group: the first word of its name says so.
    fn has(self, scenario: &str) -> bool {
        let word = scenario.split("::").next().unwrap_or_default();
        let own = Self::ALL.into_iter().find(|group| group.name() == word);
        own.unwrap_or(Self::Scenario) == self
    }
}

/// Runs the scenarios that the user wants, in order of groups and kernels.
pub(crate) fn tiers(workspace: &Workspace, args: &Args) -> Result<Vec<Tier>> {
    packages::install(&NETWORK)?;
    packages::install(&CLIENTS)?;
    packages::install(&GUEST)?;
    let programs = thread::scope(|scope| {
        scope.spawn(|| fetch(workspace, args));
        build::next_agent(workspace)?;
        let programs = build::programs(workspace)?;
        build::sockets(workspace)?;
        build::init(workspace)?;
        anyhow::Ok(programs)
    })?;
    let mut guests = guests(args, &programs)?;
    if guests.iter().any(|(group, _)| *group == Group::Runtime) {
        step("Packing the image");
        image::of_built(workspace, &programs)?;
    }
    let mut tiers = native(args, &programs)?;
    // The longest first, so that no processor waits for the last one alone.
    guests.sort_by_key(|&(group, series)| (group, Reverse(series)));
    let waiting = Mutex::new(guests.iter());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok()?.next().copied();
    let work = || {
        while let Some((group, series)) = next() {
            let tier = tier(&format!("{} {series}", group.name()), |counter| {
                run(workspace, args, (group, series), &programs, counter)
            });
            if let Ok(mut done) = done.lock() {
                done.push(((group, series), tier));
            }
        }
    };
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(guests.len());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let Ok(mut done) = done.into_inner() else { bail!("a tier of tests panicked") };
    done.sort_by_key(|(guest, _)| *guest);
    tiers.extend(done.into_iter().map(|(_, tier)| tier));
    Ok(tiers)
}

/// Downloads what guests are made of, while programs are compiled; not if a filter may want none of it.
/// Whoever needs what failed asks again, and says why it fails.
fn fetch(workspace: &Workspace, args: &Args) {
    if args.filter.is_some() {
        return;
    }
    let chosen = args.kernels.as_slice();
    for series in if chosen.is_empty() { &Series::ALL[..] } else { chosen } {
        let _ = Kernel::get(workspace, *series);
    }
    let _ = userland::get(workspace);
}

/// What asks nothing of a kernel that any has not, and runs on this machine's as well: a group and the
/// start of names. Those that mostly wait run at once; those of Services are held to fractions of a second,
/// and those that measure time to more: they have this machine for themselves.
const NATIVE: [&[(&str, &str)]; 3] = [
    &[
        ("scenario", "attachments"),
        ("scenario", "matrix"),
        ("scenario", "masquerade"),
        ("scenario", "pmtu"),
        ("scenario", "flows"),
        ("native", "native::random"),
        ("native", "native::cluster"),
    ],
    &[("native", "native::services::packet"), ("native", "native::services::auto")],
    &[("native", "native::measured")],
];

/// Runs those, unless kernels were chosen or other tests.
fn native(args: &Args, programs: &Path) -> Result<Vec<Tier>> {
    if !args.kernels.is_empty() {
        return Ok(Vec::new());
    }
    let filter = args.filter.as_deref().unwrap_or_default();
    let wanted = |start: &str| filter.starts_with(start) || start.starts_with(filter);
    let run = |(group, start): (&str, &str)| {
        let name = start.replace("::", " ");
        tier(&format!("native {}", name.trim_start_matches("native ")), |counter| {
            let mut sandbox = command::as_root(programs.join("netpath-sandbox"));
            let filter = if filter.starts_with(start) { filter } else { start };
            sandbox.args(["test", "--group", group, "--filter", filter]);
            if let Some(seed) = args.seed {
                sandbox.args(["--seed", &seed.to_string()]);
            }
            command::pass_on(sandbox, counter)
        })
    };
    let at_once = |tiers: &[(&'static str, &'static str)]| {
        thread::scope(|scope| {
            let wanted = tiers.iter().copied().filter(|(_, start)| wanted(start));
            let running: Vec<_> = wanted.map(|tier| scope.spawn(move || run(tier))).collect();
            let ended = running.into_iter().map(ScopedJoinHandle::join);
            ended.collect::<thread::Result<Vec<_>>>()
        })
    };
    let done: thread::Result<Vec<_>> = NATIVE.into_iter().map(at_once).collect();
    let Ok(done) = done else { bail!("a tier of tests panicked") };
    Ok(done.into_iter().flatten().collect())
}

/// The guests that have something to do.
fn guests(args: &Args, programs: &Path) -> Result<Vec<(Group, Series)>> {
    let mut list = Command::new(programs.join("netpath-sandbox"));
    list.args(["test", "--list", "--filter", args.filter.as_deref().unwrap_or_default()]);
    let mut names = command::output(&mut list)?;
    let mut list = Command::new(programs.join(build::SOCKETS));
    names.push_str(&command::output(list.arg("--list").args(&args.filter))?);
    for name in power::NAMES {
        if args.filter.as_ref().is_none_or(|filter| name.contains(filter)) {
            names.push_str(name);
            names.push('\n');
        }
    }
    let mut guests = Vec::new();
    for group in Group::ALL {
        if names.lines().any(|name| group.has(name) && !name.starts_with("native::")) {
            let chosen = args.kernels.as_slice();
            let kernels = if chosen.is_empty() { group.kernels() } else { chosen };
            guests.extend(kernels.iter().map(|series| (group, *series)));
        }
    }
    guests.sort();
    guests.dedup();
    Ok(guests)
}

fn run(
    workspace: &Workspace,
    args: &Args,
    (group, series): (Group, Series),
    programs: &Path,
    counter: &mut Counter,
) -> Result<bool> {
    if group == Group::Power {
        return power::run(workspace, series, programs, args, counter);
    }
    let mut machine = Machine::new(series, command(group, args));
    machine.files = guest_programs(programs);
    if group == Group::Sockets {
        let host = programs.join(build::SOCKETS);
        let library = |host: PathBuf| GuestFile { guest: host.display().to_string(), host };
        machine.files = build::libraries(&host)?.into_iter().map(library).collect();
        machine.files.push(GuestFile { host, guest: format!("/usr/bin/{}", build::SOCKETS) });
    }
    machine.timeout = LIMIT;
    machine.silence = SILENCE;
    if group == Group::Cost {
        machine.count_instructions();
    }
    if group == Group::Runtime {
        // Runtimes look for plugins where Debian's are.
        let guest = "/usr/lib/cni/netpath-cni".to_owned();
        machine.files.push(GuestFile { host: programs.join("netpath-cni"), guest });
        machine.disks.push(userland::get(workspace)?);
        let images = workspace.target.join("image");
        for (folder, name) in
            [(images, "image.tar"), (workspace.root.join("deploy"), "netpath.yaml")]
        {
            let guest = format!("/usr/share/netpath/{name}");
            machine.files.push(GuestFile { host: folder.join(name), guest });
        }
    }
    Ok(machine.run(workspace, Channel::Output(counter))?.exit == 0)
}

/// What a guest runs.
fn command(group: Group, args: &Args) -> Vec<String> {
    let filter = args.filter.as_deref();
    if group == Group::Sockets {
        return [build::SOCKETS].into_iter().chain(filter).map(str::to_owned).collect();
    }
    let mut command: Vec<_> =
        ["netpath-sandbox", "test", "--group", group.name()].map(str::to_owned).into();
    if let Some(filter) = filter {
        command.extend(["--filter", filter].map(str::to_owned));
    }
    if let Some(seed) = args.seed {
        command.extend(["--seed".to_owned(), seed.to_string()]);
    }
    command.extend(NICS.iter().flat_map(|mac| ["--nic", mac]).map(str::to_owned));
    command
}
