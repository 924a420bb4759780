//! Pools too large to list: what an operation costs must not depend on their size.

use std::time::Instant;

use super::*;
use crate::ipam::pool::Pool;

/// 1,048,576 addresses.
const LARGE: &str = "[[pool]]\nname = \"a\"\nsubnet = \"10.0.0.0/12\"\n";

#[test]
fn a_million_addresses_are_handed_out_one_after_the_other() {
    let spec = &pools(LARGE)[0];
    let mut pool = Pool::new(spec, &[]);
    let row = |address| Allocation {
        address,
        pool: None,
        holder: Holder::Cooling { until: 0 },
        claim: None,
        since: 0,
    };
    let start = Instant::now();
    let mut handed = 0u32;
    while let Some(address) = pool.next(|_| false) {
        pool.follow(address, None, Some(&row(address)));
        pool.pass(address);
        handed += 1;
        assert!(pool.free_ranges() <= 1, "what is free stays in one piece");
    }
    assert_eq!(handed, (1 << 20) - 2);
    println!("{} ns for each of {handed}", start.elapsed().as_nanos() / u128::from(handed));
}

#[test]
fn churn_costs_the_same_in_a_large_pool() {
    const PODS: u32 = 10_000;
    let mut ipam = ipam(LARGE);
    let ids: Vec<PodId> = (0..PODS).map(|index| id(&index.to_string())).collect();
    let start = Instant::now();
    for round in 0..3 {
        for id in &ids {
            let taken = &|_| false;
            let request = Request { id, pools: &[], owner: None, requested: &[], taken };
            ipam.allocate(&request, round * 100).expect("free");
        }
        for id in &ids {
            let _ = ipam.release(id, round * 100);
        }
        // What was let go waits in line, or has joined its neighbours.
        assert!(ipam.pools[0].free_ranges() <= 3, "{}", ipam.pools[0].free_ranges());
    }
    let each = start.elapsed().as_nanos() / u128::from(3 * PODS);
    println!("{each} ns for each pair of allocation and release");
}

#[test]
fn the_largest_pools_are_not_listed() {
    let text = "[[pool]]\nname = \"a\"\nsubnet = \"fd00::/8\"\nexclude = [\"fd00::/64\"]\n";
    let mut ipam = ipam(text);
    assert_eq!(ipam.status()[0].size, u64::MAX);
    assert_eq!(allocate(&mut ipam, "a", "", 0).expect("free"), "fd00:0:0:1::/8");
    let _ = ipam.release(&id("a"), 0);
    let _ = ipam.tick(30);
    assert_eq!(allocate(&mut ipam, "a", "", 30).expect("free"), "fd00:0:0:1::1/8");
    assert!(ipam.pools[0].free_ranges() <= 2);
}
