//! 10,000 Services with five backends each: how long the agent takes to know them and to change one, and
//! what their tables take.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use netpath_common::{ABI, Address, Backend, Service, ServiceKey};
use serde_json::{Value, json};

use crate::sandbox::{
    address::Family,
    fabric::{Fabric, Plan, Translate},
    scenario::{Bench, Outcome},
};

pub(super) const SERVICES: u16 = 10_000;
pub(super) const BACKENDS: u8 = 5;
/// Changes of one Service's endpoints.
const CHANGES: u16 = 100;
const PORT: u16 = 80;
const TCP: u8 = 6;

/// What it may take.
const LOAD: Duration = Duration::from_secs(2);
const CHANGE: Duration = Duration::from_millis(20);
const MEMORY: u64 = 200 << 20;

pub(super) fn ten_thousand(bench: &Bench, translate: Translate) -> Result<Outcome> {
    let plan = Plan { services: Some(translate), nodes: 1, large: true, ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    let agent = &fabric.agents[0];
    let folder = agent.files.pins.join(format!("v{ABI}"));
    let all: Vec<_> = (0..SERVICES).map(|number| service(number, 0)).collect();
    let body = json!(all).to_string();
    let begin = Instant::now();
    agent.post("/v1/services", &body)?;
    let load = begin.elapsed();

    let tables = Tables::open(&folder)?;
    for number in (0..SERVICES).step_by(997) {
        ensure!(tables.lead_to(number, 0)?, "Service {number} does not lead to its backends");
    }
    let mut changes = Vec::new();
    for number in (0..SERVICES).step_by((SERVICES / CHANGES).into()) {
        let body =
            json!({ "service": name(number), "endpoints": endpoints(number, 1) }).to_string();
        let begin = Instant::now();
        agent.post("/v1/services/endpoints", &body)?;
        ensure!(tables.lead_to(number, 1)?, "Service {number} leads to what it had before");
        changes.push(begin.elapsed());
    }
    changes.sort_unstable();
    let (half, most) = (changes[changes.len() / 2], changes[changes.len() * 9 / 10]);
    let (memory, maps) = memory(&folder)?;
    eprintln!(
        "scale: {SERVICES} Services in {load:?}; a change in {half:?}, nine of ten in {most:?}, the \
         slowest in {:?}; {memory} KiB in {maps} maps",
        changes[changes.len() - 1]
    );
    ensure!(load <= LOAD, "all of them took {load:?}");
    ensure!(most <= CHANGE, "nine of ten changes took up to {most:?}");
    ensure!(memory << 10 <= MEMORY, "the maps take {memory} KiB");
    Ok(Outcome::Passed)
}

fn name(number: u16) -> String {
    format!("scale/service-{number}")
}

/// Of one family each: every other one.
pub(super) fn family(number: u16) -> Family {
    Family::BOTH[usize::from(number % 2)]
}

pub(super) fn address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family(number) {
        Family::Ipv4 => Ipv4Addr::new(10, 96, 100 + high, low).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 1, number).into(),
    }
}

/// Nobody's; with every `turn` one more is another one.
pub(super) fn backend(number: u16, place: u8, turn: u8) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    let place = if place == 0 { place + turn * BACKENDS } else { place };
    match family(number) {
        Family::Ipv4 => Ipv4Addr::new(10, 200 + place, high, low).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 0x200, place.into(), 0, 0, 0, 0, number).into(),
    }
}

fn endpoints(number: u16, turn: u8) -> Value {
    let endpoint = |place| json!({ "addresses": [backend(number, place, turn)], "node": "node2" });
    (0..BACKENDS).map(endpoint).collect()
}

fn service(number: u16, turn: u8) -> Value {
    json!({
        "name": name(number),
        "cluster_ips": [address(number)],
        "ports": [{ "port": PORT }],
        "endpoints": endpoints(number, turn),
    })
}

/// What programs find.
pub(super) struct Tables {
    services: HashMap<MapData, ServiceKey, Service>,
    slots: Array<MapData, u32>,
    backends: Array<MapData, Backend>,
}

impl Tables {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let pinned = |name: &str| MapData::from_pin(folder.join(name)).context(name.to_owned());
        Ok(Self {
            services: Map::HashMap(pinned("services")?).try_into()?,
            slots: Map::Array(pinned("service_slots")?).try_into()?,
            backends: Map::Array(pinned("backends")?).try_into()?,
        })
    }

    /// Whether a Service leads to the backends of a turn, and to nobody else.
    pub(super) fn lead_to(&self, number: u16, turn: u8) -> Result<bool> {
        let key = ServiceKey::new(address(number).into(), PORT.to_be(), TCP);
        let run = self.services.get(&key, 0).with_context(|| name(number))?.inside;
        let found = (run.first..run.first + run.count).map(|slot| {
            let place = self.slots.get(&slot, 0)?;
            Ok(self.backends.get(&place, 0)?.address)
        });
        let mut found = found.collect::<Result<Vec<Address>>>()?;
        let mut expected: Vec<Address> =
            (0..BACKENDS).map(|place| backend(number, place, turn).into()).collect();
        found.sort_unstable();
        expected.sort_unstable();
        Ok(found == expected)
    }
}

/// KiB that all maps take together, by the kernel's own word, and how many there are.
fn memory(folder: &Path) -> Result<(u64, usize)> {
    let (mut total, mut maps) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let map = MapData::from_pin(entry.path())?;
        let number = map.fd().as_fd().as_raw_fd();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
        let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:"));
        let bytes: u64 = bytes.context("fdinfo has no memlock")?.trim().parse()?;
        total += bytes >> 10;
        maps += 1;
    }
    Ok((total, maps))
}
