//! What each request gets, and what it is told where it gets nothing.

mod follow;
mod large;
mod random;

use std::{net::IpAddr, num::NonZeroU64};

use super::*;
use crate::{name::InterfaceName, pod::PodId};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn id(container: &str) -> PodId {
    PodId {
        network: "net".to_owned(),
        container: container.to_owned(),
        interface: InterfaceName::ETH0,
    }
}

fn pools(text: &str) -> Vec<PoolSpec> {
    #[derive(serde::Deserialize)]
    struct File {
        pool: Vec<PoolSpec>,
    }
    let pools = toml::from_str::<File>(text).expect("pools").pool;
    check(&pools).expect("valid");
    pools
}

fn ipam(text: &str) -> Ipam {
    Ipam::new(&config::Ipam::default(), &pools(text))
}

const SMALL: &str = "[[pool]]\nname = \"a\"\nsubnet = \"10.0.0.0/29\"\ngateway = \"10.0.0.1\"\n";
const DUAL: &str = "
    [[pool]]
    name = \"v6\"
    subnet = \"fd00::/64\"
    gateway = \"fe80::1\"
    [[pool]]
    name = \"v4\"
    subnet = \"10.0.0.0/24\"
    ranges = [\"10.0.0.10-10.0.0.12\"]
    reserve = [\"10.0.0.99\"]
    exclude = [\"10.0.0.11\"]
    gateway = \"10.0.0.1\"
    [[pool]]
    name = \"other\"
    subnet = \"10.1.0.0/30\"
    default = false
";

/// A request in words: `pools=a,b owner=o want=10.0.0.1,fd00::1`.
fn allocate(ipam: &mut Ipam, container: &str, words: &str, now: u64) -> Result<String, Error> {
    let (mut names, mut owner, mut wanted) = (Vec::new(), None, Vec::new());
    for word in words.split_whitespace() {
        match word.split_once('=').expect("word=value") {
            ("pools", list) => names = list.split(',').map(str::to_owned).collect(),
            ("owner", name) => owner = Some(name),
            ("want", list) => wanted = list.split(',').map(ip).collect(),
            _ => panic!("{word}"),
        }
    }
    let grant = ipam.allocate(
        &Request {
            id: &id(container),
            pools: &names,
            owner,
            requested: &wanted,
            taken: &|address| address == ip("10.0.0.6"),
        },
        now,
    )?;
    let text = grant.addresses.iter().map(|given| match given.gateway {
        Some(gateway) => format!("{}>{gateway}", given.address),
        None => given.address.to_string(),
    });
    Ok(text.collect::<Vec<_>>().join(" "))
}

fn refused(ipam: &mut Ipam, container: &str, words: &str, now: u64) -> (String, &'static str) {
    let before: Vec<_> = ipam.allocations().cloned().collect();
    let error = allocate(ipam, container, words, now).expect_err(words);
    assert!(before.iter().eq(ipam.allocations()), "{words} changed something");
    (error.to_string(), error.code().unwrap_or("-"))
}

#[test]
fn one_address_for_each_family() {
    let mut ipam = ipam(DUAL);
    let got = allocate(&mut ipam, "a", "", 0).expect("free");
    assert_eq!(got, "10.0.0.10/24>10.0.0.1 fd00::1/64>fe80::1");
    let again = allocate(&mut ipam, "a", "", 5).expect("the same");
    assert_eq!(again, got);
    let got = allocate(&mut ipam, "b", "", 0).expect("free");
    assert_eq!(got, "10.0.0.12/24>10.0.0.1 fd00::2/64>fe80::1", "10.0.0.11 is excluded");
    let got = allocate(&mut ipam, "c", "pools=other", 0).expect("free");
    assert_eq!(got, "10.1.0.1/30");
    let got = allocate(&mut ipam, "d", "pools=v6", 0).expect("free");
    assert_eq!(got, "fd00::3/64>fe80::1");
    let (error, code) = refused(&mut ipam, "e", "", 0);
    assert_eq!(code, "exhausted");
    assert!(error.contains("pool v4 (10.0.0.0/24) has no free address: size 3, used 2"), "{error}");
    assert!(error.contains("reserved 1; delete pods"), "{error}");
    let got = allocate(&mut ipam, "e", "want=10.0.0.99", 0).expect("reserved");
    assert_eq!(got, "10.0.0.99/24>10.0.0.1 fd00::4/64>fe80::1");
}

#[test]
fn what_is_let_go_rests_and_comes_back_in_order() {
    let mut ipam = ipam(SMALL);
    // .6 is the node's own.
    for (container, address) in [("a", "10.0.0.2"), ("b", "10.0.0.3"), ("c", "10.0.0.4")] {
        let got = allocate(&mut ipam, container, "", 100).expect("free");
        assert_eq!(got, format!("{address}/29>10.0.0.1"));
    }
    assert_eq!(ipam.release(&id("c"), 101).put.len(), 1);
    assert_eq!(ipam.release(&id("a"), 102).put.len(), 1);
    assert!(ipam.release(&id("never"), 102).is_empty());
    assert_eq!(allocate(&mut ipam, "d", "", 103).expect("the last"), "10.0.0.5/29>10.0.0.1");
    let (error, code) = refused(&mut ipam, "e", "", 103);
    assert_eq!(code, "exhausted");
    assert!(error.contains("size 5, used 2, held for owners 0, cooling down 2"), "{error}");
    assert!(error.contains("beside the pool 1; the next one becomes free in 28 s"), "{error}");
    let (error, code) = refused(&mut ipam, "e", "want=10.0.0.2", 104);
    assert_eq!(
        (code, error.as_str()),
        (
            "address-taken",
            "10.0.0.2 is cooling down for 28 s more; try again then or choose another"
        )
    );
    assert_eq!(ipam.next_deadline(), Some(131));
    assert_eq!(ipam.tick(131).delete, [ip("10.0.0.4")]);
    assert_eq!(allocate(&mut ipam, "e", "", 140).expect("first let go"), "10.0.0.4/29>10.0.0.1");
    assert_eq!(allocate(&mut ipam, "f", "", 140).expect("second"), "10.0.0.2/29>10.0.0.1");
    assert_eq!(ipam.status()[0].free, 1, "the node's own");
}

#[test]
fn an_owner_keeps_its_address() {
    let mut ipam = ipam(SMALL);
    let first = allocate(&mut ipam, "a", "owner=web-0", 0).expect("free");
    let (error, code) = refused(&mut ipam, "b", "owner=web-0", 1);
    assert_eq!(code, "busy");
    assert!(error.contains("belongs to pod net/a/eth0; try again"), "{error}");
    let _ = ipam.release(&id("a"), 2);
    let (error, _) = refused(&mut ipam, "b", "want=10.0.0.2", 3);
    assert!(error.contains("10.0.0.2 is held for owner web-0"), "{error}");
    assert_ne!(allocate(&mut ipam, "c", "", 1000).expect("another"), first);
    assert_eq!(allocate(&mut ipam, "b", "owner=web-0", 2000).expect("its own"), first);
    let (rows, _) = ipam.release_owner("web-0", 2000).expect("known");
    assert_eq!(rows.len(), 1);
    ipam.release_owner("web-0", 2000).expect_err("no claim is left");
    let _ = ipam.release(&id("b"), 2001);
    assert_eq!(ipam.status()[0].cooling, 1);
}

#[test]
fn a_reservation_lasts_as_long_as_was_said() {
    let mut ipam = ipam(SMALL);
    let seconds = NonZeroU64::new(10);
    let (row, _) = ipam.reserve(ip("10.0.0.5"), "vm", seconds, 0).expect("free");
    assert_eq!(row.holder, Holder::Held { until: Some(10) });
    let error = ipam.reserve(ip("10.0.0.4"), "vm", None, 0).expect_err("a second one");
    assert!(error.to_string().contains("owner vm has 10.0.0.5 in pool a already"), "{error}");
    let error = ipam.reserve(ip("10.0.0.5"), "other", None, 0).expect_err("taken");
    assert!(error.to_string().contains("is held for owner vm for 10 s more"), "{error}");
    for (address, why) in [
        ("10.0.0.1", "a gateway or one of the subnet's own"),
        ("10.0.0.7", "a gateway or one of the subnet's own"),
        ("10.9.0.1", "is in no pool; choose an address from: 10.0.0.0/29"),
    ] {
        let error = ipam.reserve(ip(address), "x", None, 0).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(allocate(&mut ipam, "a", "owner=vm", 9).expect("held"), "10.0.0.5/29>10.0.0.1");
    let _ = ipam.release(&id("a"), 100);
    let _ = ipam.tick(110);
    let row = ipam.allocations().next().expect("it rests").clone();
    assert_eq!((row.holder, row.claim), (Holder::Cooling { until: 130 }, None));
    assert_eq!(ipam.tick(130).delete, [ip("10.0.0.5")]);
}

#[test]
fn an_address_in_conflict_is_kept_back() {
    let mut ipam = ipam(DUAL);
    let first = allocate(&mut ipam, "a", "owner=web-0", 0).expect("free");
    let _ = ipam.mark_conflict(ip("10.0.0.10"), "02:00:00:00:00:09", 0);
    let second = allocate(&mut ipam, "a", "owner=web-0", 1).expect("the next one");
    assert_eq!(first.replace("10.0.0.10", "10.0.0.12"), second, "IPv6 stays");
    let _ = ipam.release(&id("a"), 2);
    let third = allocate(&mut ipam, "b", "owner=web-0", 3).expect("its own");
    assert_eq!(third, second);
    let _ = ipam.mark_conflict(ip("10.0.0.12"), "02:00:00:00:00:08", 4);
    let (error, code) = refused(&mut ipam, "b", "owner=web-0", 5);
    assert_eq!(code, "conflict");
    assert!(
        error.contains("10.0.0.12 is used by 02:00:00:00:00:08 on the wire for 29 s more"),
        "{error}"
    );
    let (row, _) = ipam.release_address(ip("10.0.0.10"), |_| true, 5).expect("in conflict");
    assert!(matches!(row.holder, Holder::Conflict { .. }));
    assert_eq!(allocate(&mut ipam, "b", "owner=web-0", 40).expect("its own again"), second);
}

#[test]
fn requests_that_can_not_be_met_are_told_why() {
    let mut ipam = ipam(DUAL);
    allocate(&mut ipam, "a", "", 0).expect("free");
    for (container, words, code, why) in [
        ("b", "pools=x", "no-pool", "\"x\" is no pool of this node; choose from: v6, v4, other"),
        ("b", "want=10.0.0.10", "address-taken", "10.0.0.10 belongs to pod net/a/eth0"),
        ("b", "want=10.0.0.11", "-", "does not hand it out: it is excluded"),
        ("b", "want=10.0.0.1", "-", "does not hand it out"),
        ("b", "want=fd00::", "-", "does not hand it out"),
        ("b", "want=192.0.2.1", "-", "is in no pool"),
        ("b", "want=10.0.0.12,10.1.0.1", "-", "10.1.0.1 is the second address of its family"),
        ("b", "pools=v6 want=10.0.0.12", "-", "is of pool v4, which was not asked for"),
        ("a", "want=10.0.0.12", "address-taken", "has 10.0.0.10 already, not 10.0.0.12"),
    ] {
        let (error, found) = refused(&mut ipam, container, words, 0);
        assert!(error.contains(why), "{words}: {error}");
        assert_eq!(found, code, "{words}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let (error, code) = {
        let mut none = Ipam::new(&config::Ipam::default(), &[]);
        refused(&mut none, "a", "", 0)
    };
    assert_eq!(code, "no-pool", "{error}");
}

#[test]
fn pools_may_change_between_two_starts() {
    let mut before = ipam(DUAL);
    allocate(&mut before, "a", "", 0).expect("free");
    allocate(&mut before, "b", "owner=web-0", 10).expect("free");
    let rows: Vec<_> = before.allocations().cloned().collect();

    let mut after = ipam("[[pool]]\nname = \"new\"\nsubnet = \"10.0.0.0/28\"\n");
    let changes = after.restore(rows.clone(), 20);
    assert_eq!((changes.put.len(), changes.delete.len()), (4, 0), "each has another pool now");
    let problems = after.check([
        Use { address: ip("10.0.0.10"), endpoint: "a", id: Some(&id("a")) },
        Use { address: ip("fd00::1"), endpoint: "a", id: Some(&id("a")) },
        Use { address: ip("10.0.0.12"), endpoint: "thief", id: None },
        Use { address: ip("10.0.0.3"), endpoint: "by-hand", id: None },
    ]);
    let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.address, p.kind)).collect();
    let expected = [
        "10.0.0.3 unallocated",
        "10.0.0.12 twice",
        "fd00::1 outside",
        "fd00::2 outside",
        "fd00::2 leaked",
    ];
    assert_eq!(found, expected);
    assert_eq!(allocate(&mut after, "c", "", 20).expect("free"), "10.0.0.13/28", "goes on");
    after.release_address(ip("fd00::2"), |_| true, 20).expect_err("is there");
    let (row, _) = after.release_address(ip("fd00::2"), |_| false, 20).expect("leaked");
    assert_eq!(row.pool, None);
    assert_eq!(after.tick(50).delete, [ip("fd00::2")]);

    let mut back = ipam(DUAL);
    assert!(back.restore(rows.clone(), 20).is_empty(), "nothing to write");
    assert_eq!(back.status(), before.status());
    assert!(back.allocations().eq(&rows));
}

#[test]
fn a_clock_that_was_wrong_keeps_nothing_for_ever() {
    let mut before = ipam(SMALL);
    allocate(&mut before, "a", "", 4_000_000_000).expect("free");
    let _ = before.release(&id("a"), 4_000_000_000);
    let mut after = ipam(SMALL);
    let changes = after.restore(before.allocations().cloned().collect(), 1000);
    assert_eq!(changes.put[0].holder, Holder::Cooling { until: 1030 });
}

#[test]
fn rows_are_written_as_people_read_them() {
    let mut ipam = ipam(SMALL);
    allocate(&mut ipam, "a", "owner=web-0", 7).expect("free");
    let row = ipam.allocations().next().expect("one");
    let text = serde_json::to_string(row).expect("JSON");
    assert_eq!(
        text,
        r#"{"address":"10.0.0.2","pool":"a","state":"attached","id":{"network":"net","container":"a","interface":"eth0"},"claim":{"owner":"web-0","since":7},"since":7}"#
    );
    assert_eq!(&serde_json::from_str::<Allocation>(&text).expect("back"), row);
}
