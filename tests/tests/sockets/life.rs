//! The hooks of a cgroup: attached, replaced, repaired, taken over, detached.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use netpath_agent::{
    config::{Attach, Capacity},
    datapath::{Datapath, Options, SocketHook, Sockets},
};
use netpath_common::ABI;
use netpath_tests::sandbox::wait;

use crate::{
    client,
    tables::{TCP, Tables, key},
    world::World,
};

const SMALL: Capacity = Capacity {
    endpoints: 64,
    routes: 64,
    flows: 1024,
    services: 64,
    backends: 64,
    connections: 1024,
};

const HOOKS: usize = 10;

/// How long the kernel may take to let go of a link.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent of its own in a cgroup of its own, beside the other one.
pub(crate) fn hooks(world: &mut World) -> Result<()> {
    let checked = agent(world);
    world.cgroup.join()?;
    checked
}

fn agent(world: &mut World) -> Result<()> {
    let cgroup = world.tree.create("life")?;
    let options = Options {
        pins: world.bpf.join("life"),
        capacity: SMALL,
        attach: Attach::Auto,
        packets: false,
        sockets: Sockets::Of(cgroup.path().to_owned()),
    };
    let links = options.pins.join(format!("v{ABI}/links"));
    let mut agent = Tables::new(Datapath::open(&options)?);
    let first = &mut agent.datapath;
    ensure!(first.missing_sockets().len() == HOOKS, "{:?}", first.missing_sockets());
    first.attach_sockets()?;
    let [(service, backends), _] = world.services();
    agent.put(key(service, TCP), &backends, 0)?;
    let first = &mut agent.datapath;
    ensure!(!is_translated(service), "the hooks of another cgroup");
    cgroup.join()?;
    ensure!(is_translated(service), "not attached");

    // Somebody removes a pin, and with it the link.
    let whole = first.sockets().clone();
    ensure!(whole.hooks.len() == HOOKS && whole.failure.is_none(), "{whole:?}");
    ensure!(whole.cgroup.as_deref() == Some(cgroup.path()), "{whole:?}");
    ensure!(first.missing_sockets().is_empty(), "{:?}", first.missing_sockets());
    fs::remove_file(links.join("cgroup-connect4"))?;
    ensure!(first.missing_sockets() == ["connect4"], "{:?}", first.missing_sockets());
    detached(service, "a link without a pin")?;
    ensure!(first.attach_sockets()? == ["connect4"] && first.missing_sockets().is_empty());
    ensure!(is_translated(service), "not repaired");

    // An agent that starts anew gives the links other programs.
    let before = first.sockets().hooks.clone();
    drop(agent);
    ensure!(is_translated(service), "the agent has ended, not its hooks");
    let mut second = Datapath::open(&options)?;
    second.attach_sockets()?;
    replaced(&before, &second.sockets().hooks)?;
    ensure!(is_translated(service), "replaced");

    // So does one of another version, which finds them in another directory.
    let before = second.sockets().hooks.clone();
    drop(second);
    let other = options.pins.join("v9999");
    fs::rename(options.pins.join(format!("v{ABI}")), &other).context("rename the pins")?;
    let mut third = Datapath::open(&options)?;
    third.take_over_links()?;
    third.attach_sockets()?;
    third.remove_others();
    replaced(&before, &third.sockets().hooks)?;
    ensure!(!other.exists(), "{} is left", other.display());
    ensure!(is_translated(service), "taken over");

    // The cgroup is removed, and another made in its place.
    let path = cgroup.path().to_owned();
    drop(cgroup);
    ensure!(third.missing_sockets().len() == HOOKS, "{:?}", third.missing_sockets());
    ensure!(third.attach_sockets().is_err() && third.sockets().failure.is_some());
    let cgroup = world.tree.create("life")?;
    ensure!(path == cgroup.path() && third.missing_sockets().len() == HOOKS);
    third.attach_sockets()?;
    cgroup.join()?;
    ensure!(third.missing_sockets().is_empty() && is_translated(service), "in its place");

    // The configuration turns it off, and on, and everything is removed.
    drop(third);
    let mut off = Datapath::open(&Options { sockets: Sockets::Off, ..options.clone() })?;
    off.attach_sockets()?;
    ensure!(off.missing_sockets().is_empty(), "{:?}", off.missing_sockets());
    detached(service, "turned off")?;
    ensure!(fs::read_dir(&links)?.next().is_none(), "pins are left");
    drop(off);
    let mut on = Datapath::open(&options)?;
    on.attach_sockets()?;
    ensure!(is_translated(service), "turned on");
    drop(on);
    let removed = Datapath::cleanup(&options.pins);
    ensure!(removed.errors.is_empty() && !options.pins.exists(), "{:?}", removed.errors);
    detached(service, "removed")
}

/// Nobody but a Service has its address: there is no way to it.
fn is_translated(service: SocketAddr) -> bool {
    client::tcp(service).is_ok()
}

/// The kernel lets go of a link some time after its last pin is removed.
fn detached(service: SocketAddr, what: &str) -> Result<()> {
    wait::until(&format!("{what}: the hooks are empty"), PATIENCE, || {
        Ok((!is_translated(service)).then_some(()))
    })
}

/// The same links have other programs.
fn replaced(before: &[SocketHook], now: &[SocketHook]) -> Result<()> {
    let same = before.len() == HOOKS
        && before.iter().zip(now).all(|(before, now)| {
            before.hook == now.hook && before.link == now.link && before.program != now.program
        });
    ensure!(same, "before {before:?}, now {now:?}");
    Ok(())
}
