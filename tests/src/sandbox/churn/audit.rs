//! Links, addresses, allocations, map entries, files and store against each other.
//!
//! Nothing of the agent's own comparisons is used: the kernel is asked here, and the store is read
//! when the agent has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use netpath_agent::{
    endpoint::{Record, Stage},
    ipam::{Allocation, Holder},
    pod::PodId,
    store::{Lock, Store},
};
use netpath_common::{ABI, Endpoint};
use nix::{net::if_::if_nameindex, sys::signal::Signal};
use serde::Deserialize;

use super::{Attached, Caller, NETWORK, observer};
use crate::sandbox::{
    addresses::Addresses,
    agent::{Agent, Files},
    topology::{INTERFACE, Place},
    wait,
};

/// Pods by container, with their addresses in order.
type Pods = BTreeMap<String, BTreeSet<IpAddr>>;

/// Whether everything agrees with what the callers were told. Ends the agent, and returns one line
/// for people.
pub fn agree(agent: Agent, node: &Place, callers: &[Caller<'_>]) -> Result<String> {
    let attached: Vec<&Attached> = callers.iter().flat_map(Caller::attached).collect();
    let expected: Pods = attached
        .iter()
        .map(|pod| (pod.container.clone(), pod.addresses.iter().copied().collect()))
        .collect();
    let mut problems = Problems::default();
    let owners: BTreeMap<_, _> = callers.iter().filter_map(Caller::owner).collect();

    problems.extend(links(node, &attached)?);
    problems.extend(maps(&agent.files, &attached)?);
    let complaints = agent.netpath_json(&["ipam", "check"])?;
    problems.note("netpath ipam check", &serde_json::json!([]), &complaints);
    let shown: Shown = serde_json::from_value(agent.netpath_json(&["ipam", "show"])?)?;
    problems.extend(allocations("netpath ipam show", &shown.addresses, &expected, &owners));

    let files = agent.end(Signal::SIGTERM)?;
    let (records, rows) = read(&files.state)?;
    problems.note("pods in the store", &expected, &pods(&records));
    let unfinished: Vec<_> = records.iter().filter(|record| record.stage != Stage::Ready).collect();
    problems.note("unfinished in the store", &Vec::new(), &unfinished);
    problems.extend(allocations("allocations in the store", &rows, &expected, &owners));
    problems.extend(folders(&files)?);
    let Problems(problems) = problems;
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok(format!(
        "{} pods, {} allocations, {} owners agree",
        expected.len(),
        rows.len(),
        owners.len()
    ))
}

/// Whether an agent on a machine that has lost its power knows of no pod, and still keeps what it
/// promised to owners.
pub(super) fn recovered(agent: &Agent, promises: &BTreeMap<String, Vec<IpAddr>>) -> Result<()> {
    let mut problems = Problems::default();
    let none = serde_json::json!([]);
    problems.note("netpath ipam check", &none, &agent.netpath_json(&["ipam", "check"])?);
    problems.note("endpoints", &none, &agent.netpath_json(&["endpoint", "list"])?);
    let Shown { addresses } = serde_json::from_value(agent.netpath_json(&["ipam", "show"])?)?;
    let attached = |row: &&Allocation| matches!(row.holder, Holder::Attached { .. });
    problems.note("attached", &Vec::new(), &addresses.iter().filter(attached).collect());
    for (worker, promised) in promises {
        let owner = format!("churn/{worker}");
        let of_owner =
            |row: &&Allocation| row.claim.as_ref().is_some_and(|claim| claim.owner == owner);
        let kept = addresses.iter().filter(of_owner).map(|row| row.address).collect();
        problems.note(&format!("addresses of {owner}"), &of(promised), &kept);
    }
    let Problems(problems) = problems;
    ensure!(problems.is_empty(), "after a power cut: {}", problems.join("\n  "));
    Ok(())
}

/// Waits until no address cools down.
pub fn cooled(agent: &Agent) -> Result<()> {
    wait::until("no address cools down", Duration::from_secs(30), || {
        let shown: Shown = serde_json::from_value(agent.netpath_json(&["ipam", "show"])?)?;
        let cooling = |row: &Allocation| matches!(row.holder, Holder::Cooling { .. });
        Ok((!shown.addresses.iter().any(cooling)).then_some(()))
    })
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.0.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    fn extend(&mut self, Self(more): Self) {
        self.0.extend(more);
    }
}

#[derive(Deserialize)]
struct Shown {
    addresses: Vec<Allocation>,
}

/// Interfaces and addresses in the pods, and interfaces on the node.
fn links(node: &Place, attached: &[&Attached]) -> Result<Problems> {
    let mut problems = Problems::default();
    let names = || -> Result<BTreeSet<String>> {
        let names = if_nameindex().context("list interfaces")?;
        Ok(names.iter().map(|one| one.name().to_string_lossy().into_owned()).collect())
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let found = node.namespace.enter(names)?;
    problems.note("interfaces of the node", &set(&["lo", INTERFACE, "netpath0"]), &found);
    for Attached { container, namespace, addresses } in attached {
        let (found, all) = namespace.enter(|| Ok((names()?, observer::addresses()?)))?;
        problems.note(&format!("interfaces of {container}"), &set(&["lo", INTERFACE]), &found);
        let local = |address: &IpAddr| is_link_local(*address);
        let (local, all): (BTreeSet<_>, BTreeSet<_>) = all.into_iter().partition(local);
        problems.note(&format!("addresses of {container}"), &of(addresses), &all);
        problems.note(&format!("link-local addresses of {container}"), &1, &local.len());
    }
    Ok(problems)
}

fn of(addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    addresses.iter().copied().collect()
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// What the programs know: every address of a pod leads to its namespace by a slot of its own.
fn maps(files: &Files, attached: &[&Attached]) -> Result<Problems> {
    let mut problems = Problems::default();
    let pins = files.pins.join(format!("v{ABI}"));
    let open = |name: &str| MapData::from_pin(pins.join(name)).map(Map::HashMap);
    let mut slots = BTreeMap::<u32, (u32, BTreeSet<IpAddr>, usize)>::new();
    for (address, endpoint) in Addresses::open(&files.pins)?.all()? {
        let Endpoint { slot, namespace, .. } = endpoint;
        if endpoint.is_host() {
            continue;
        }
        let (_, addresses, local) =
            slots.entry(slot).or_insert_with(|| (namespace, BTreeSet::new(), 0));
        match IpAddr::from(address) {
            address if is_link_local(address) => *local += 1,
            address => drop(addresses.insert(address)),
        }
    }
    let mut expected = Vec::new();
    for Attached { namespace, addresses, .. } in attached {
        let number = u32::try_from(fs::metadata(namespace.path())?.ino())?;
        expected.push((number, of(addresses), 1));
    }
    let mut found: Vec<_> = slots.into_values().collect();
    found.sort();
    expected.sort();
    problems.note("map endpoints", &expected, &found);
    let namespaces: HashMap<_, u32, u32> = open("namespaces")?.try_into()?;
    let found = namespaces.keys().collect::<Result<BTreeSet<_>, _>>()?;
    let expected = expected.iter().map(|(number, ..)| *number).collect();
    problems.note("map namespaces", &expected, &found);
    Ok(problems)
}

/// Every address of a pod is allocated to it and nothing else to anybody; owners have theirs.
fn allocations(
    what: &str,
    rows: &[Allocation],
    expected: &Pods,
    owners: &BTreeMap<String, &[IpAddr]>,
) -> Problems {
    let mut problems = Problems::default();
    let mut held = Pods::new();
    let mut claims = BTreeMap::<String, BTreeSet<IpAddr>>::new();
    for row in rows {
        if let Holder::Attached { id: PodId { container, .. } } = &row.holder {
            held.entry(container.clone()).or_default().insert(row.address);
        }
        if let Some(claim) = &row.claim {
            claims.entry(claim.owner.clone()).or_default().insert(row.address);
        }
    }
    problems.note(what, expected, &held);
    let owners = owners.iter().map(|(owner, addresses)| (owner.clone(), of(addresses))).collect();
    problems.note(&format!("{what}, owners"), &owners, &claims);
    problems
}

fn read(state: &Path) -> Result<(Vec<Record>, Vec<Allocation>)> {
    let lock = Lock::take(state)?;
    let store = Store::open(&lock)?;
    Ok((store.endpoints()?, store.allocations()?))
}

fn pods(records: &[Record]) -> Pods {
    let name = |record: &Record| {
        let name = record.spec.name.to_string();
        let inner = name.strip_prefix(&format!("{NETWORK}."));
        let inner = inner.and_then(|inner| inner.strip_suffix(&format!(".{INTERFACE}")));
        inner.unwrap_or(&name).to_owned()
    };
    let addresses =
        |record: &Record| record.spec.addresses.iter().map(ipnet::IpNet::addr).collect();
    records.iter().map(|record| (name(record), addresses(record))).collect()
}

/// What is in the agent's folders when it has ended.
fn folders(files: &Files) -> Result<Problems> {
    let mut problems = Problems::default();
    let list = |folder: &Path| -> Result<Vec<String>> {
        let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    problems.note("files of the store", &names(&["lock", "netpath.redb"]), &list(&files.state)?);
    problems.note("versions of pins", &vec![format!("v{ABI}")], &list(&files.pins)?);
    problems.note("the socket is there", &false, &files.socket.exists());
    Ok(problems)
}
