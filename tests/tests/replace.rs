//! The programs at a parent's hooks are replaced under load, on this machine's kernel: whole agents do
//! the same in guests, but an emulated processor carries fewer packets. Needs root; tcx needs Linux
//! 6.6.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use netpath_agent::{
    config::{Attach, Capacity, Switching, Xdp},
    datapath::{Datapath, HookStatus, Options, ParentSpec, Sockets},
};
use netpath_common::{Attachment, Endpoint, Mac, endpoint::NO_SLOT, route::TABLE_MAIN};
use netpath_tests::sandbox::{
    command, kernel, namespace::Namespace, pins::Pins, server::Server, traffic::Traffic, wait,
};
use nix::net::if_::if_nametoindex;

const PARENT: &str = "eth0";
const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 1]);
const NODE: [&str; 2] = ["10.0.0.1", "fd00::1"];
const PEER: [&str; 2] = ["10.0.0.2", "fd00::2"];
/// Datagrams a second, both ways together.
const RATE: u64 = 20_000;
const REPLACEMENTS: u32 = 10;
/// Packets of each flow, or bytes, between two replacements.
const STEPS: u64 = 200;

#[test]
fn links_of_tcx_lose_nothing() -> Result<()> {
    if !kernel::at_least(6, 6)? {
        println!("tcx links need Linux 6.6: nothing was tested");
        return Ok(());
    }
    replaced(Attach::Tcx)
}

#[test]
fn filters_of_clsact_lose_nothing() -> Result<()> {
    replaced(Attach::Netlink)
}

fn replaced(attach: Attach) -> Result<()> {
    let cable = Cable::lay(&format!("np-{}-{attach:?}", std::process::id()))?;
    let pins = Pins::mount()?;
    let folder = pins.path();
    let options =
        Options { pins: folder, capacity: SMALL, attach, packets: false, sockets: Sockets::Off };
    let mut hooks = cable.node.enter(|| start(&options))?;

    let _servers = [(&cable.node, NODE), (&cable.peer, PEER)]
        .map(|(namespace, own)| Server::start(namespace, &own.map(address)))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut traffic = Traffic::default();
    let ends = [(&cable.node, NODE), (&cable.peer, PEER)];
    for family in [0, 1] {
        for ((from, _), (_, to)) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            traffic.ping(from, address(to[family]))?;
            traffic.stream(from, address(to[family]))?;
        }
    }
    let [node, peer] = ends;
    for ((from, source), (to, target), family) in [(node, peer, 0), (peer, node, 1)] {
        let (source, target) = (address(source[family]), address(target[family]));
        traffic.datagrams((from, source), (to, target), RATE / 2)?;
    }
    traffic.moves_on(STEPS, "at first")?;
    for _ in 0..REPLACEMENTS {
        let now = cable.node.enter(|| start(&options))?;
        for (before, now) in hooks.iter().zip(&now) {
            ensure!(before.program != now.program, "not replaced: {now:?}");
            ensure!(before.link == now.link, "another link: {before:?}, {now:?}");
        }
        hooks = now;
        traffic.moves_on(STEPS, "with other programs")?;
    }
    traffic.finish()
}

const SMALL: Capacity = Capacity {
    endpoints: 64,
    routes: 64,
    flows: 1024,
    services: 64,
    backends: 64,
    connections: 1024,
};

/// What an agent does when it starts: the maps are adopted, the hooks get new programs.
fn start(options: &Options) -> Result<Vec<HookStatus>> {
    let mut datapath = Datapath::open(options).context("load the programs")?;
    let namespace = netpath_agent::netlink::Namespace::own()?.number()?;
    for own in NODE {
        let host = Endpoint {
            slot: NO_SLOT,
            table: TABLE_MAIN,
            namespace,
            attachment: Attachment::Host as u8,
            ..Endpoint::default()
        };
        datapath.put_endpoint(address(own).into(), &host)?;
    }
    let ifindex = if_nametoindex(PARENT)?;
    datapath.attach(&ParentSpec {
        ifindex,
        name: PARENT.to_owned(),
        mac: MAC,
        switching: Switching::Parent,
        xdp: Xdp::Off,
        veth: true,
        subnets: Vec::new(),
        routers: Vec::new(),
        hiding: Vec::new(),
    })?;
    let status = datapath.parents().pop().context("no parent is attached")?;
    ensure!(status.hooks.len() == 2, "{:?}", status.hooks);
    Ok(status.hooks)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A node, a peer, and a cable.
struct Cable {
    node: Namespace,
    peer: Namespace,
}

impl Cable {
    fn lay(unique: &str) -> Result<Self> {
        let [node, peer] =
            ["node", "peer"].map(|end| Namespace::create(&format!("{unique}-{end}")));
        let (node, peer) = (node?, peer?);
        node.ip(&[format!(
            "link add {PARENT} address {MAC} type veth peer name {PARENT} netns {}",
            peer.name()
        )])?;
        for (namespace, [v4, v6]) in [(&node, NODE), (&peer, PEER)] {
            namespace.ip(&[
                "link set lo up".to_owned(),
                format!("link set {PARENT} up"),
                format!("addr add {v4}/24 dev {PARENT}"),
                format!("addr add {v6}/64 dev {PARENT} nodad"),
            ])?;
            namespace.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
        }
        let cable = Self { node, peer };
        wait::until("a carrier", Duration::from_secs(10), || {
            let mut ip = Command::new("ip");
            let name = cable.node.name();
            let shown = command::run(ip.args(["-n", name, "link", "show", PARENT]))?;
            Ok(shown.contains("state UP").then_some(()))
        })?;
        Ok(cable)
    }
}
