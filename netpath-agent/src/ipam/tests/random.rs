//! Random requests against a model that knows nothing of sets, cursors and indexes.

use std::collections::HashMap;

use super::*;
use crate::pod::PodId;

const TEXT: &str = "
    [[pool]]
    name = \"v4\"
    subnet = \"10.0.0.0/27\"
    gateway = \"10.0.0.1\"
    reserve = [\"10.0.0.20-10.0.0.22\"]
    exclude = [\"10.0.0.9\"]
    [[pool]]
    name = \"more\"
    subnet = \"10.0.0.32/29\"
    [[pool]]
    name = \"v6\"
    subnet = \"fd00::/123\"
";
const COOLDOWN: u64 = 30;

/// Who has an address, and who had it last.
#[derive(Default)]
struct Model {
    attached: HashMap<IpAddr, PodId>,
    /// When it was let go, and by which owner's pod.
    gone: HashMap<IpAddr, (u64, Option<String>)>,
    stored: HashMap<IpAddr, Allocation>,
}

impl Model {
    /// Writes to the store, and checks that it then agrees with memory.
    fn write(&mut self, changes: Changes, ipam: &Ipam) {
        for row in changes.put {
            self.stored.insert(row.address, row);
        }
        for address in changes.delete {
            self.stored.remove(&address);
        }
        assert_eq!(self.stored.len(), ipam.allocations().len());
        assert!(ipam.allocations().all(|row| self.stored.get(&row.address) == Some(row)));
    }

    /// Every address has one holder, the one that it was given to.
    fn compare(&self, ipam: &Ipam) {
        let attached: HashMap<_, _> = ipam
            .allocations()
            .filter_map(|row| match &row.holder {
                Holder::Attached { id } => Some((row.address, id.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(attached, self.attached);
        for pool in ipam.status() {
            let PoolStatus { size, used, held, cooling, conflicting, reserved, free, .. } = pool;
            assert_eq!(size, used + held + cooling + conflicting + reserved + free);
        }
    }

    fn granted(&mut self, id: &PodId, owner: Option<&str>, addresses: &[IpAddr], now: u64) {
        for address in addresses {
            if let Some(before) = self.attached.insert(*address, id.clone()) {
                assert_eq!(&before, id, "{address} was another's");
                continue;
            }
            let Some((when, of)) = self.gone.get(address) else { continue };
            let own = of.is_some() && of.as_deref() == owner;
            assert!(own || when + COOLDOWN <= now, "{address} came back too early");
        }
    }

    fn let_go(&mut self, address: IpAddr, owner: Option<String>, now: u64) {
        self.attached.remove(&address);
        self.gone.insert(address, (now, owner));
    }
}

fn owner_of(ipam: &Ipam, address: IpAddr) -> Option<String> {
    let row = ipam.allocations().find(|row| row.address == address)?;
    row.claim.as_ref().map(|claim| claim.owner.clone())
}

fn pick(random: &mut fastrand::Rng) -> IpAddr {
    if random.bool() {
        ip(&format!("10.0.0.{}", random.u8(0..42)))
    } else {
        ip(&format!("fd00::{:x}", random.u8(0..34)))
    }
}

fn step(ipam: &mut Ipam, model: &mut Model, random: &mut fastrand::Rng, now: u64) {
    let name = random.u8(0..40).to_string();
    let id = id(&name);
    let owner = format!("owner-{}", random.u8(0..6));
    let changes = match random.u8(0..20) {
        0..10 => {
            let owner = random.bool().then_some(owner.as_str());
            let requested: Vec<_> =
                (random.u8(0..4) == 0).then(|| pick(random)).into_iter().collect();
            let other = random.u8(0..3) == 0;
            let names: Vec<String> = if other { vec!["more".to_owned()] } else { Vec::new() };
            let request =
                Request { id: &id, pools: &names, owner, requested: &requested, taken: &|_| false };
            let Ok(grant) = ipam.allocate(&request, now) else { return };
            let got: Vec<_> = grant.addresses.iter().map(|given| given.address.addr()).collect();
            assert!(requested.iter().all(|wanted| got.contains(wanted)));
            model.granted(&id, owner, &got, now);
            grant.changes
        }
        10..15 => {
            let addresses: Vec<_> = ipam.rows.of_attachment(&id).collect();
            for address in addresses {
                model.let_go(address, owner_of(ipam, address), now);
            }
            ipam.release(&id, now)
        }
        15 => {
            let address = pick(random);
            if model.attached.contains_key(&address) {
                let changes = ipam.mark_conflict(address, "02:00:00:00:00:01", now);
                model.let_go(address, owner_of(ipam, address), now);
                changes
            } else {
                ipam.mark_conflict(address, "02:00:00:00:00:01", now)
            }
        }
        16 => {
            let seconds = NonZeroU64::new(random.u64(0..50));
            let Ok((_, changes)) = ipam.reserve(pick(random), &owner, seconds, now) else { return };
            changes
        }
        17 => {
            let Ok((_, changes)) = ipam.release_owner(&owner, now) else { return };
            changes
        }
        18 => {
            let address = pick(random);
            let there = random.bool();
            let Ok((row, changes)) = ipam.release_address(address, |_| there, now) else { return };
            match row.holder {
                Holder::Attached { .. } => model.let_go(address, None, now),
                // The operator ended the rest.
                Holder::Cooling { .. } | Holder::Conflict { .. } => {
                    drop(model.gone.remove(&address));
                }
                Holder::Held { .. } => {}
            }
            changes
        }
        _ => ipam.tick(now),
    };
    model.write(changes, ipam);
    model.compare(ipam);
}

#[test]
fn no_address_is_ever_had_by_two() {
    let seed = std::env::var("NETPATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("NETPATH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let pools = pools(TEXT);
    let settings = config::Ipam { fixed_ttl_seconds: 100, ..config::Ipam::default() };
    let mut ipam = Ipam::new(&settings, &pools);
    let mut model = Model::default();
    let mut now = 1000;
    for round in 0..20_000 {
        now += random.u64(0..4);
        step(&mut ipam, &mut model, &mut random, now);
        if round % 100 == 0 {
            let changes = ipam.tick(now);
            model.write(changes, &ipam);
            let mut again = Ipam::new(&settings, &pools);
            assert!(again.restore(model.stored.values().cloned().collect(), now).is_empty());
            assert!(again.allocations().eq(ipam.allocations()));
            assert_eq!(again.status(), ipam.status());
            ipam = again;
        }
    }
}
