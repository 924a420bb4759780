//! Blocks of small pools against lists of all their addresses, and of large ones by sample.

use std::collections::{HashMap, HashSet};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn ranges(texts: &[&str]) -> Vec<AddressRange> {
    texts.iter().map(|text| text.parse().expect("range")).collect()
}

fn spec(subnet: &str) -> PoolSpec {
    PoolSpec {
        name: "pods".to_owned(),
        subnet: subnet.parse().expect("subnet"),
        ranges: Vec::new(),
        exclude: Vec::new(),
        reserve: Vec::new(),
        gateway: None,
        default: true,
    }
}

fn blocks(spec: &PoolSpec, size: u32) -> Blocks {
    spec.check().expect("valid");
    Blocks::new(spec, size).expect("size")
}

fn texts(found: impl Iterator<Item = Block>) -> Vec<String> {
    found.map(|block| format!("{} {}", block.name, block.range)).collect()
}

#[test]
fn nodes_get_what_is_not_reserved_throughout() {
    let spec = PoolSpec {
        ranges: ranges(&["10.0.1.20-10.0.1.120"]),
        exclude: ranges(&["10.0.1.48/28"]),
        reserve: ranges(&["10.0.1.64/28", "10.0.1.80-10.0.1.83", "10.0.1.200"]),
        gateway: Some(ip("10.0.1.1")),
        ..spec("10.0.1.0/24")
    };
    let blocks = blocks(&spec, 16);
    assert_eq!(
        texts(blocks.for_nodes()),
        [
            "pods-10-0-1-16 10.0.1.16-10.0.1.31",
            "pods-10-0-1-32 10.0.1.32-10.0.1.47",
            "pods-10-0-1-80 10.0.1.80-10.0.1.95",
            "pods-10-0-1-96 10.0.1.96-10.0.1.111",
            "pods-10-0-1-112 10.0.1.112-10.0.1.127",
        ]
    );
    assert_eq!(blocks.count(), 5);
    let fixed = ["pods-10-0-1-64 10.0.1.64-10.0.1.79", "pods-10-0-1-192 10.0.1.192-10.0.1.207"];
    assert_eq!(texts(blocks.for_fixed()), fixed);
    assert!(blocks.of(ip("10.0.1.200")).expect("reserved").fixed);
    assert!(!blocks.of(ip("10.0.1.81")).expect("reserved in a node's block").fixed);
    for nobody in ["10.0.1.1", "10.0.1.50", "10.0.1.130", "10.0.2.20", "fd00::1"] {
        assert_eq!(blocks.of(ip(nobody)), None, "{nobody}");
    }
}

#[test]
fn a_node_hands_out_its_blocks_only() {
    let spec = PoolSpec {
        exclude: ranges(&["10.0.1.18"]),
        reserve: ranges(&["10.0.1.20", "10.0.1.64/28"]),
        gateway: Some(ip("10.0.1.1")),
        ..spec("10.0.1.0/24")
    };
    let blocks = blocks(&spec, 16);
    let mine = blocks.within(ranges(&["10.0.1.16/28", "10.0.1.0/28"])).expect("addresses");
    assert_eq!(mine.ranges, ranges(&["10.0.1.2-10.0.1.17", "10.0.1.19-10.0.1.31"]));
    assert_eq!(mine.reserve, ranges(&["10.0.1.20"]));
    assert_eq!((mine.gateway, &mine.name), (spec.gateway, &spec.name));
    mine.check().expect("valid");
    assert_eq!(blocks.within([]), None, "no ranges would be the whole subnet");
    assert_eq!(blocks.within(ranges(&["10.0.9.0/28"])), None);
}

#[test]
fn sizes_are_powers_of_two() {
    for bad in [0, 3, 24, 65_537, 131_072, u32::MAX] {
        let error = Blocks::new(&spec("10.0.0.0/24"), bad).expect_err("no size");
        assert_eq!(error, BadBlockSize(bad));
    }
    let whole = blocks(&spec("10.0.1.0/28"), MAX_BLOCK_SIZE);
    assert_eq!(texts(whole.for_nodes()), ["pods-10-0-1-0 10.0.1.0-10.0.1.15"]);
    let single = blocks(&spec("10.0.1.0/30"), 1);
    let expected = ["pods-10-0-1-1 10.0.1.1", "pods-10-0-1-2 10.0.1.2"];
    assert_eq!(texts(single.for_nodes()), expected);
    assert_eq!(blocks(&spec("255.255.255.0/24").at("223.255.255.0/24"), 256).count(), 1);
}

#[test]
fn a_large_pool_is_never_listed() {
    let blocks = blocks(&spec("fd00:1::/64"), 16);
    assert_eq!(blocks.count(), 1 << 60);
    let mut asked = 0;
    let picked = blocks.pick(u64::MAX, |_| {
        asked += 1;
        asked <= 3
    });
    // u64::MAX is the last block: the search goes round.
    let name = "pods-fd00-0001-0000-0000-0000-0000-0000-0020";
    let picked = picked.expect("most are free");
    assert_eq!((picked.name.as_str(), asked), (name, 4));
    assert_eq!(blocks.named(name), Some(picked));
    let widest = Blocks::new(&spec("fc00::/7"), 1).expect("size");
    assert_eq!(widest.count(), u64::MAX);
    assert!(widest.pick(fastrand::u64(..), |_| false).is_some());
}

#[test]
fn only_names_of_blocks_are_found() {
    let blocks = blocks(&PoolSpec { ranges: ranges(&["10.0.1.64/26"]), ..spec("10.0.1.0/24") }, 16);
    assert!(blocks.named("pods-10-0-1-64").is_some());
    for bad in [
        "pods-10-0-1-0",
        "pods-10-0-1-65",
        "pods-10-0-1-064",
        "pods-10.0.1.64",
        "pods-10-0-2-64",
        "pod-10-0-1-64",
        "pods10-0-1-64",
        "pods-fd00-0001-0000-0000-0000-0000-0000-0020",
        "pods-",
        "pods",
    ] {
        assert_eq!(blocks.named(bad), None, "{bad}");
    }
}

impl PoolSpec {
    fn at(self, subnet: &str) -> Self {
        Self { subnet: subnet.parse().expect("subnet"), ..self }
    }
}

/// What a Kubernetes object may be called: a DNS subdomain (RFC 1123).
fn is_dns_subdomain(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn some_ranges(random: &mut fastrand::Rng, subnet: IpNet, count: usize) -> Vec<AddressRange> {
    let hosts: Vec<IpAddr> = match subnet {
        IpNet::V4(v4) => (v4.network().to_bits()..=v4.broadcast().to_bits())
            .map(|b| Ipv4Addr::from(b).into())
            .collect(),
        IpNet::V6(v6) => (v6.network().to_bits()..=v6.broadcast().to_bits())
            .map(|b| Ipv6Addr::from(b).into())
            .collect(),
    };
    let mut range = || {
        let (one, other) = (random.usize(..hosts.len()), random.usize(..hosts.len()));
        let length = one.abs_diff(other) / 3;
        let first = one.min(other);
        AddressRange::between(hosts[first], hosts[first + length])
    };
    (0..count).map(|_| range()).collect()
}

#[test]
fn random_pools_are_cut_without_gap_or_overlap() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut names = HashMap::new();
    for round in 0..400 {
        let subnet = if round % 2 == 0 {
            format!("10.{}.{}.0/{}", round % 256, round / 256, random.u8(24..=31))
        } else {
            format!("fd00:{round:x}::/{}", random.u8(120..=127))
        };
        let subnet: IpNet = subnet.parse().expect("subnet");
        let mut list = |most: usize| {
            let count = random.usize(..=most);
            some_ranges(&mut random, subnet, count)
        };
        let spec = PoolSpec {
            name: ["a", "a-10", "a-10-0", "pods.b", "0"][round % 5].to_owned(),
            ranges: list(3),
            exclude: list(2),
            reserve: list(4),
            ..spec("10.0.0.0/8").at(&subnet.to_string())
        };
        if spec.check().is_err() {
            continue;
        }
        let blocks = blocks(&spec, 1 << random.u32(0..=6));
        cover(&spec, &blocks);
        for block in blocks.for_nodes().chain(blocks.for_fixed()) {
            assert!(is_dns_subdomain(&block.name), "{}", block.name);
            assert_eq!(blocks.named(&block.name).as_ref(), Some(&block));
            let other = names.insert(block.name, block.range.first());
            assert!(other.is_none_or(|other| other == block.range.first()));
        }
        picks(&blocks, random.u64(..));
    }
    assert!(names.len() > 1000, "most pools were no pools");
}

/// Blocks and addresses agree.
fn cover(spec: &PoolSpec, blocks: &Blocks) {
    let (assignable, reserved) = (spec.assignable(), spec.reserved());
    let anybody = |address: &IpAddr| assignable.contains(*address) && !reserved.contains(*address);
    let mut seen = HashSet::new();
    for block in blocks.for_nodes().chain(blocks.for_fixed()) {
        let inside: Vec<_> = assignable.within(block.range.first()..=block.range.last()).collect();
        assert!(!inside.is_empty(), "{block:?} has nothing to hand out");
        assert_ne!(block.fixed, inside.iter().any(anybody), "{block:?}");
        for address in inside {
            assert!(seen.insert(address), "{address} is in two blocks");
            assert_eq!(blocks.of(address).as_ref(), Some(&block));
        }
    }
    let all = AddressRange::from(spec.subnet);
    assert!(assignable.within(all.first()..=all.last()).all(|address| seen.contains(&address)));
}

/// Wherever the search starts, every block is found once, and then none.
fn picks(blocks: &Blocks, start: u64) {
    let mut taken = HashSet::new();
    while let Some(block) = blocks.pick(start, |block| taken.contains(&block.name)) {
        assert!(!block.fixed);
        assert!(taken.insert(block.name));
    }
    assert_eq!(taken.len(), blocks.for_nodes().count());
}

#[test]
fn blocks_beside_others_share_no_address_with_them() {
    let blocks = blocks(&spec("10.0.1.0/26"), 16);
    assert_eq!(blocks.size(), 16);
    let pick = |start, taken: &[&str]| {
        blocks.pick_beside(start, ranges(taken)).map(|block| block.range.to_string())
    };
    assert_eq!(pick(1, &["fd00::/64"]).as_deref(), Some("10.0.1.16-10.0.1.31"));
    assert_eq!(pick(1, &["10.0.1.24-10.0.1.40"]).as_deref(), Some("10.0.1.48-10.0.1.63"));
    assert_eq!(pick(1, &["10.0.1.16-10.0.1.99"]).as_deref(), Some("10.0.1.0-10.0.1.15"));
    assert_eq!(pick(1, &["10.0.1.0/25"]), None);
    assert_eq!(self::blocks(&spec("10.0.1.0/30"), 16).size(), 4);
    assert_eq!(self::blocks(&spec("fd00::/64"), 256).size(), 256);
}
