use super::*;
use crate::service::samples::web;

/// A Service that is right but for one thing, the field that is named, and a part of what is said.
type Case = (fn(&mut ServiceSpec), &'static str, &'static str);

fn address(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn sctp(spec: &mut ServiceSpec, port: u16, target: Option<Target>, node_port: Option<u16>) {
    let name = None;
    spec.ports = vec![PortSpec { name, protocol: Protocol::Sctp, port, target, node_port }];
}

#[test]
fn what_is_right_is_taken() {
    web().check().expect("right");
    let headless = ServiceSpec { cluster_ips: Vec::new(), external_ips: Vec::new(), ..web() };
    let mut headless = ServiceSpec { load_balancer_ips: Vec::new(), ..headless };
    headless.ports[0].node_port = None;
    headless.check().expect("headless");
    let mut spec = web();
    spec.ports[0].target = Some(Target::Name("web".to_owned()));
    for (at, endpoint) in (9000..).zip(&mut spec.endpoints) {
        endpoint.ports.insert("web".to_owned(), at);
    }
    spec.check().expect("named targets");
    sctp(&mut spec, 80, None, Some(80));
    spec.check().expect("SCTP");
}

const ADDRESSES: [Case; 14] = [
    (|it| it.cluster_ips[1] = address("10.96.0.11"), "cluster_ips[1]", "second address of its"),
    (|it| it.cluster_ips[0] = address("224.0.0.1"), "cluster_ips[0]", "multicast"),
    (|it| it.cluster_ips[1] = address("::ffff:10.96.0.1"), "cluster_ips[1]", "mapped form"),
    (|it| it.external_ips[0] = address("0.0.0.0"), "external_ips[0]", "unspecified"),
    (|it| it.load_balancer_ips[1] = address("::1"), "load_balancer_ips[1]", "loopback"),
    (|it| it.external_ips.push(it.cluster_ips[0]), "external_ips[1]", "already"),
    (|it| it.cluster_ips.clear(), "external_ips", "headless"),
    (|it| it.endpoints[1].addresses.clear(), "endpoints[1].addresses", "at least one"),
    (
        |it| it.endpoints[1].addresses[1] = address("10.0.2.2"),
        "endpoints[1].addresses[1]",
        "second",
    ),
    (
        |it| it.endpoints[0].addresses[0] = address("239.1.1.1"),
        "endpoints[0].addresses[0]",
        "multicast",
    ),
    (
        |it| it.endpoints[0].addresses[0] = address("127.0.0.1"),
        "endpoints[0].addresses[0]",
        "loopback",
    ),
    (|it| it.endpoints[2].addresses[1] = address("::"), "endpoints[2].addresses[1]", "unspecified"),
    (
        |it| it.endpoints[2].addresses[1] = address("fe80::1"),
        "endpoints[2].addresses[1]",
        "link-local",
    ),
    (
        |it| {
            it.cluster_ips.truncate(1);
            it.load_balancer_ips.truncate(1);
        },
        "endpoints[0].addresses[1]",
        "is IPv6, which no address of the Service is",
    ),
];

const PORTS: [Case; 13] = [
    (|it| it.ports.clear(), "ports", "at least one port"),
    (|it| it.ports[0].port = 0, "ports[0].port", "0 is no port"),
    (|it| it.ports[0].target = Some(Target::Number(0)), "ports[0].target", "0 is no port"),
    (|it| it.ports[0].node_port = Some(0), "ports[0].node_port", "0 is no port"),
    (|it| it.ports.push(it.ports[0].clone()), "ports[1].port", "80/tcp is ports[0] already"),
    (
        |it| it.ports.push(PortSpec { port: 81, ..it.ports[0].clone() }),
        "ports[1].name",
        "is what ports[0] is called",
    ),
    (
        |it| it.ports.push(PortSpec { port: 81, name: None, ..it.ports[0].clone() }),
        "ports[1].node_port",
        "30080/tcp is ports[0] already",
    ),
    (|it| it.ports[0].name = Some(String::new()), "ports[0].name", "empty"),
    (
        |it| it.ports[0].target = Some(Target::Name("web".to_owned())),
        "endpoints[0].ports",
        "endpoint 10.0.1.1 has no port \"web\"",
    ),
    (
        |it| it.endpoints[1].ports = [("web".to_owned(), 0)].into(),
        "endpoints[1].ports.web",
        "0 is no port",
    ),
    (|it| sctp(it, 80, Some(Target::Number(81)), None), "ports[0].target", "SCTP to 81"),
    (|it| sctp(it, 80, None, Some(30080)), "ports[0].node_port", "SCTP to 30080"),
    (|it| it.health_check_port = Some(30080), "ports[0].node_port", "health_check_port as well"),
];

const OTHERS: [Case; 5] = [
    (|it| it.affinity_seconds = Some(0), "affinity_seconds", "1 to 86400"),
    (|it| it.affinity_seconds = Some(86_401), "affinity_seconds", "86401 is out of range"),
    (|it| it.health_check_port = Some(0), "health_check_port", "0 is no port"),
    (
        |it| it.source_ranges = vec!["10.0.0.1/8".parse().expect("range")],
        "source_ranges[0]",
        "write 10.0.0.0/8",
    ),
    (
        |it| {
            it.cluster_ips.clear();
            it.external_ips.clear();
            it.load_balancer_ips.clear();
        },
        "ports[0].node_port",
        "headless",
    ),
];

#[test]
fn what_is_wrong_is_named() {
    for (spoil, field, said) in ADDRESSES.iter().chain(&PORTS).chain(&OTHERS) {
        let mut spec = web();
        spoil(&mut spec);
        let error = spec.check().and_then(|()| spec.check_targets()).expect_err(field);
        assert_eq!(error.field, *field, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
