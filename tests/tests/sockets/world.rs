//! The namespaces, the cgroup and the servers of this process.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use netpath_agent::{
    config::{Attach, Capacity},
    datapath::{Datapath, Options, Sockets},
};
use netpath_common::{
    Attachment, Endpoint,
    endpoint::{FLAG_NODE_PORTS, NO_SLOT},
    route::TABLE_MAIN,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    cgroup::{Cgroup, Tree},
    server,
    tables::Tables,
};

/// Both families' addresses.
const NODE: [&str; 2] = ["10.2.0.1", "fd00:2::1"];
const BACKENDS: [[&str; 3]; 2] =
    [["10.1.0.1", "10.1.0.2", "10.1.0.3"], ["fd00:1::1", "fd00:1::2", "fd00:1::3"]];
const SERVICE: [&str; 2] = ["10.96.0.1", "fd00:96::1"];
/// Where backends answer.
const PORT: u16 = 8080;

/// Room for the largest measurement.
const CAPACITY: Capacity = Capacity {
    endpoints: 64,
    routes: 64,
    flows: 1024,
    services: 16_384,
    backends: 1024,
    connections: 1024,
};

/// All of it. It ends with the process, but for the cgroup, which is removed when dropped.
pub(crate) struct World {
    pub(crate) tables: Tables,
    pub(crate) cgroup: Cgroup,
    pub(crate) tree: Tree,
    /// A folder of a bpf file system.
    pub(crate) bpf: PathBuf,
    next: u16,
    _mount: tempfile::TempDir,
}

impl World {
    pub(crate) fn enter() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .context("can not make namespaces: run as root")?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .context("make mounts private")?;
        let folder = tempfile::tempdir()?;
        mount(Some("bpf"), folder.path(), Some("bpf"), MsFlags::empty(), nothing)
            .context("mount a bpf file system")?;
        ip("link set lo up")?;
        for address in NODE.iter().chain(BACKENDS.iter().flatten()) {
            let length = if address.contains(':') { "/128 nodad" } else { "/32" };
            ip(&format!("address add {address}{length} dev lo"))?;
        }
        let tree = Tree::mount()?;
        let cgroup = tree.create("sockets")?;
        cgroup.join()?;
        let mut datapath = Datapath::open(&Options {
            pins: folder.path().join("netpath"),
            capacity: CAPACITY,
            attach: Attach::Auto,
            packets: false,
            sockets: Sockets::Of(cgroup.path().to_owned()),
        })?;
        own_addresses(&mut datapath)?;
        let lost = datapath.attach_sockets()?;
        ensure!(lost.is_empty(), "lost at the start: {lost:?}");
        let tables = Tables::new(datapath);
        for address in BACKENDS.iter().flatten() {
            server::start((address.parse::<IpAddr>()?, PORT).into())?;
        }
        let bpf = folder.path().to_owned();
        Ok(Self { tables, cgroup, tree, bpf, next: 1000, _mount: folder })
    }

    /// Addresses for a new Service in both families, with their backends.
    pub(crate) fn services(&mut self) -> [(SocketAddr, Vec<SocketAddr>); 2] {
        let port = self.port();
        [0, 1].map(|family| {
            let backends = BACKENDS[family].iter().map(|backend| address(backend, PORT)).collect();
            (address(SERVICE[family], port), backends)
        })
    }

    /// A port that no other check has.
    pub(crate) fn port(&mut self) -> u16 {
        self.next += 1;
        self.next
    }

    /// The node's addresses with a port.
    pub(crate) fn node(port: u16) -> [SocketAddr; 2] {
        NODE.map(|node| address(node, port))
    }
}

/// What an agent knows of the node.
pub(crate) fn own_addresses(datapath: &mut Datapath) -> Result<()> {
    for node in NODE {
        let host = Endpoint {
            slot: NO_SLOT,
            table: TABLE_MAIN,
            attachment: Attachment::Host as u8,
            flags: FLAG_NODE_PORTS,
            ..Endpoint::default()
        };
        datapath.put_endpoint(node.parse::<IpAddr>()?.into(), &host)?;
    }
    Ok(())
}

/// How often each backend was met: each must have been, and none twice as often as another.
pub(crate) fn even(backends: impl Iterator<Item = Result<SocketAddr>>) -> Result<()> {
    let mut met = BTreeMap::<_, u32>::new();
    for backend in backends {
        *met.entry(backend?).or_default() += 1;
    }
    let (least, most) = (met.values().min(), met.values().max());
    let is_even = least.zip(most).is_some_and(|(least, most)| *most < 2 * *least);
    ensure!(met.len() == 3 && is_even, "{met:?}");
    Ok(())
}

fn address(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(text.parse().expect("an address"), port)
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status().context("ip")?;
    ensure!(status.success(), "ip {arguments}");
    Ok(())
}
