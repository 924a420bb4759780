//! Pools that come, go and change while addresses of them are used.

use std::collections::{BTreeMap, HashMap};

use super::*;

#[test]
fn who_has_an_address_keeps_it() {
    let mut ipam = ipam(SMALL);
    assert_eq!(allocate(&mut ipam, "a", "", 0).expect("free"), "10.0.0.2/29>10.0.0.1");
    let range = "10.0.0.0/29".parse().expect("range");
    assert_eq!(ipam.usage(range, [ip("10.0.0.6"), ip("10.0.0.2")]), Usage { rows: 1, free: 3 });
    let changes = ipam.set_pools(&[]);
    assert_eq!(changes.put.len(), 1);
    assert_eq!(changes.put[0].pool, None);
    assert_eq!(ipam.usage(range, []), Usage { rows: 1, free: 0 });
    let (error, code) = refused(&mut ipam, "b", "", 0);
    assert_eq!(code, "no-pool", "{error}");
    let changes = ipam.set_pools(&pools(SMALL));
    assert_eq!(changes.put[0].pool.as_deref(), Some("a"));
    assert!(ipam.set_pools(&pools(SMALL)).is_empty(), "nothing is otherwise");
    assert_eq!(allocate(&mut ipam, "b", "", 0).expect("free"), "10.0.0.3/29>10.0.0.1");
    let _ = ipam.set_pools(&[]);
    let _ = ipam.release(&id("a"), 0);
    assert_eq!(ipam.tick(30).delete, [ip("10.0.0.2")]);
    assert_eq!(ipam.allocations().len(), 1);
}

#[test]
fn what_was_let_go_last_is_handed_out_last() {
    let mut ipam = ipam(SMALL);
    for container in ["a", "b", "c"] {
        allocate(&mut ipam, container, "", 0).expect("free");
    }
    let _ = ipam.release(&id("b"), 0);
    let _ = ipam.release(&id("a"), 1);
    let _ = ipam.tick(40);
    let wider = "[[pool]]\nname = \"a\"\nsubnet = \"10.0.0.0/29\"\n";
    let _ = ipam.set_pools(&pools(wider));
    for expected in ["10.0.0.5/29", "10.0.0.1/29", "10.0.0.3/29", "10.0.0.2/29"] {
        assert_eq!(allocate(&mut ipam, expected, "", 40).expect("free"), expected);
    }
}

#[test]
fn pools_go_together_or_not() {
    let all = pools(DUAL);
    assert_eq!(all[0].goes_with(&all[1]), Ok(()));
    assert_eq!(all[0].goes_with(&all[0]), Err(Clash::Name("v6".to_owned())));
    let error = all[1].goes_with(&PoolSpec { name: "x".to_owned(), ..all[1].clone() });
    let error = error.expect_err("the same addresses").to_string();
    assert_eq!(error, "10.0.0.10 is in pool x too; give the two pools different ranges");
}

/// Pools made of some of the four blocks of four addresses in each of three subnets.
fn some(random: &mut fastrand::Rng) -> Vec<PoolSpec> {
    let mut specs = Vec::new();
    for (name, net) in [("a", "10.0.0"), ("b", "10.0.1"), ("c", "fd00:")] {
        let (length, dot) = if net.contains(':') { (124, ":") } else { (28, ".") };
        let hex = |number: u8| match dot {
            ":" => format!("{net}:{number:x}"),
            _ => format!("{net}.{number}"),
        };
        let blocks = (0..4u8).filter(|_| random.bool());
        let ranges: Vec<AddressRange> = blocks
            .map(|block| format!("{}-{}", hex(block * 4), hex(block * 4 + 3)))
            .map(|range| range.parse().expect("range"))
            .collect();
        let spec = PoolSpec {
            name: name.to_owned(),
            subnet: format!("{}/{length}", hex(0)).parse().expect("subnet"),
            exclude: Vec::new(),
            reserve: if random.bool() { vec![ip(&hex(5)).into()] } else { Vec::new() },
            ranges,
            gateway: None,
            default: random.u8(0..5) > 0,
        };
        if !spec.ranges.is_empty() && random.u8(0..8) > 0 {
            specs.push(spec);
        }
    }
    check(&specs).expect("valid");
    specs
}

/// Every row is of the pool that hands its address out, and every figure is what can be counted.
fn verify(ipam: &Ipam, specs: &[PoolSpec]) {
    let mut expected: HashMap<String, (u64, u64)> = HashMap::new();
    for row in ipam.allocations() {
        let of: Vec<_> =
            specs.iter().filter(|spec| spec.assignable().contains(row.address)).collect();
        assert!(of.len() <= 1, "{} is in two pools", row.address);
        assert_eq!(row.pool.as_deref(), of.first().map(|spec| spec.name.as_str()));
        if let Some(spec) = of.first() {
            let counted = expected.entry(spec.name.clone()).or_default();
            let reserved = spec.reserved().contains(row.address);
            *(if reserved { &mut counted.1 } else { &mut counted.0 }) += 1;
        }
    }
    for (status, spec) in ipam.status().iter().zip(specs) {
        assert_eq!(status.name, spec.name);
        let (open, reserved) = expected.remove(&spec.name).unwrap_or_default();
        assert_eq!(status.size, spec.assignable().size());
        assert_eq!(status.reserved + reserved, spec.reserved().size());
        assert_eq!(status.free + open + spec.reserved().size(), status.size);
        let used = status.used + status.held + status.cooling + status.conflicting;
        assert_eq!(used, open + reserved);
        let usage = ipam.usage(spec.subnet.into(), []);
        assert_eq!(usage.free, status.free);
    }
}

#[test]
fn pools_change_at_random() {
    let seed = std::env::var("NETPATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("NETPATH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let settings = config::Ipam::default();
    let mut specs = some(&mut random);
    let mut ipam = Ipam::new(&settings, &specs);
    let mut stored = BTreeMap::new();
    let mut had: HashMap<IpAddr, PodId> = HashMap::new();
    let mut now = 1000;
    for _ in 0..5_000 {
        now += random.u64(0..6);
        let id = id(&random.u8(0..20).to_string());
        let changes = match random.u8(0..8) {
            0 => {
                specs = some(&mut random);
                ipam.set_pools(&specs)
            }
            1..5 => {
                let request =
                    Request { id: &id, pools: &[], owner: None, requested: &[], taken: &|_| false };
                let Ok(grant) = ipam.allocate(&request, now) else { continue };
                for given in &grant.addresses {
                    let before = had.insert(given.address.addr(), id.clone());
                    assert!(before.is_none_or(|before| before == id), "{given:?} is another's");
                }
                grant.changes
            }
            5..7 => {
                had.retain(|_, holder| *holder != id);
                ipam.release(&id, now)
            }
            _ => ipam.tick(now),
        };
        for row in changes.put {
            stored.insert(row.address, row);
        }
        for address in changes.delete {
            stored.remove(&address);
        }
        assert!(ipam.allocations().eq(stored.values()));
        verify(&ipam, &specs);
    }
}
