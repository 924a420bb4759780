use super::*;
use crate::service::{
    Target,
    local::LocalSpec,
    samples::{view, web},
};

fn resolved(spec: &ServiceSpec) -> Resolved {
    resolved_with(spec, &Locals::default(), Choice::Random)
}

fn resolved_with(spec: &ServiceSpec, locals: &Locals, choice: Choice) -> Resolved {
    spec.check().expect("a Service that is right");
    let mut groups = Vec::new();
    resolve(spec, &View { choice, ..view(locals) }, |group| {
        let known = groups.iter().position(|other| *other == group);
        let at = known.unwrap_or_else(|| {
            groups.push(group);
            groups.len() - 1
        });
        u32::try_from(at).expect("few groups")
    })
}

fn key(address: &str, port: u16) -> ServiceKey {
    let address: IpAddr = address.parse().expect("address");
    ServiceKey::new(address.into(), port.to_be(), 6)
}

fn entry<'a>(resolved: &'a Resolved, address: &str, port: u16) -> &'a Entry {
    resolved.entries.get(&key(address, port)).expect("an entry")
}

/// Addresses of a run, as `1 2` for the endpoints of the sample on node1 and node2.
fn run(backends: &[BackendKey]) -> String {
    let node = |key: &BackendKey| match key.address.into() {
        IpAddr::V4(v4) => u16::from(v4.octets()[2]),
        IpAddr::V6(v6) => v6.segments()[1],
    };
    backends.iter().map(|key| node(key).to_string()).collect::<Vec<_>>().join(" ")
}

/// Who answers at the cluster IP, from inside at the external one, and from the wire there: the same in
/// both families.
fn runs(spec: &ServiceSpec) -> [String; 3] {
    let resolved = resolved(spec);
    let [v4, v6] = [("10.96.0.10", "198.51.100.1"), ("fd00:96::a", "2001:db8::1")].map(
        |(cluster, external)| {
            let (cluster, external) =
                (entry(&resolved, cluster, 80), entry(&resolved, external, 80));
            assert!(cluster.outside.is_empty());
            [&cluster.inside, &external.inside, &external.outside].map(|it| run(it))
        },
    );
    assert_eq!(v4, v6);
    v4
}

#[test]
fn every_frontend_has_an_entry() {
    let resolved = resolved(&web());
    let expected = [
        ("10.96.0.10", 80, 0),
        ("fd00:96::a", 80, 0),
        ("192.0.2.1", 80, FLAG_EXTERNAL),
        ("198.51.100.1", 80, FLAG_EXTERNAL),
        ("2001:db8::1", 80, FLAG_EXTERNAL),
        ("0.0.0.0", 30080, FLAG_EXTERNAL),
        ("::", 30080, FLAG_EXTERNAL),
    ];
    for (address, port, flags) in expected {
        assert_eq!(entry(&resolved, address, port).flags, flags, "{address}");
    }
    assert_eq!((resolved.entries.len(), resolved.sources.len()), (expected.len(), 0));
    let backends = &entry(&resolved, "10.96.0.10", 80).inside;
    let of = |port| backend([10, 0, 1, 1].into(), port, Protocol::Tcp);
    assert_eq!((backends.len(), backends[0]), (3, of(8080)));
}

#[test]
fn families_do_not_mix() {
    let resolved = resolved(&web());
    for (key, entry) in &resolved.entries {
        let all = entry.inside.iter().chain(&*entry.outside);
        assert!(all.clone().count() >= 3);
        assert!(all.into_iter().all(|it| it.address.is_v4() == key.address.is_v4()));
    }
}

#[test]
fn numbers_are_shared_where_clients_may_stay() {
    let resolved = resolved(&web());
    let id = |address, port| entry(&resolved, address, port).id;
    assert_eq!(id("192.0.2.1", 80), id("0.0.0.0", 30080));
    assert_ne!(id("192.0.2.1", 80), id("10.96.0.10", 80));
    assert_ne!(id("fd00:96::a", 80), id("10.96.0.10", 80));
}

#[test]
fn policies() {
    let mut spec = web();
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
    spec.internal_policy = Policy::Local;
    assert_eq!(runs(&spec), ["1", "1 2 3", "1 2 3"]);
    spec.external_policy = Policy::Local;
    assert_eq!(runs(&spec), ["1", "1 2 3", "1"]);
    spec.endpoints.remove(0);
    assert_eq!(runs(&spec), ["", "2 3", ""]);
}

#[test]
fn only_ready_endpoints_answer() {
    let mut spec = web();
    spec.endpoints[1].ready = false;
    assert_eq!(runs(&spec), ["1 3", "1 3", "1 3"]);
    spec.endpoints[2].terminating = true;
    assert_eq!(runs(&spec), ["1", "1", "1"]);
    spec.publish_not_ready = true;
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
}

#[test]
fn without_ready_ones_those_answer_that_terminate_and_serve() {
    let mut spec = web();
    for endpoint in &mut spec.endpoints {
        endpoint.terminating = true;
    }
    spec.endpoints[1].serving = false;
    assert_eq!(runs(&spec), ["1 3", "1 3", "1 3"]);
    // What holds for the node is not what holds for the cluster.
    spec.endpoints[2].terminating = false;
    spec.external_policy = Policy::Local;
    assert_eq!(runs(&spec), ["3", "3", "1"]);
    spec.endpoints[2].ready = false;
    assert_eq!(runs(&spec), ["1", "1", "1"]);
}

#[test]
fn hints_hold_if_all_have_them() {
    let mut spec = web();
    for (endpoint, hint) in spec.endpoints.iter_mut().zip(["a", "b", "a"]) {
        endpoint.hints = vec![hint.to_owned()];
    }
    assert_eq!(runs(&spec), ["1 3", "1 3", "1 3"]);
    // One that is not ready does not count.
    spec.endpoints[1].ready = false;
    spec.endpoints[1].hints.clear();
    assert_eq!(runs(&spec), ["1 3", "1 3", "1 3"]);
    spec.endpoints[1].ready = true;
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
    for endpoint in &mut spec.endpoints {
        endpoint.hints = vec!["c".to_owned()];
    }
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
    spec.endpoints[2].hints.push("a".to_owned());
    spec.internal_policy = Policy::Local;
    assert_eq!(runs(&spec), ["1", "3", "3"]);
}

#[test]
fn affinity_and_source_ranges() {
    let mut spec = web();
    spec.affinity_seconds = Some(10800);
    spec.source_ranges =
        ["203.0.113.0/24", "2001:db8:9::/48"].map(|it| it.parse().expect("range")).into();
    let resolved = resolved(&spec);
    assert!(resolved.entries.values().all(|entry| entry.affinity == 10800));
    let ranged = |(key, entry): (&ServiceKey, &Entry)| {
        (entry.flags & FLAG_RANGES != 0).then_some((*key, entry.id))
    };
    let ranged: Vec<_> = resolved.entries.iter().filter_map(ranged).collect();
    let keys: BTreeSet<_> = ranged.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [key("198.51.100.1", 80), key("2001:db8::1", 80)].into());
    let (v4, v6) =
        (entry(&resolved, "198.51.100.1", 80).id, entry(&resolved, "2001:db8::1", 80).id);
    assert_eq!(resolved.sources, [(v4, spec.source_ranges[0]), (v6, spec.source_ranges[1])].into());
}

#[test]
fn headless_services_have_no_part() {
    let mut spec = web();
    spec.cluster_ips.clear();
    spec.external_ips.clear();
    spec.load_balancer_ips.clear();
    spec.ports[0].node_port = None;
    assert_eq!(resolved(&spec), Resolved::default());
}

#[test]
fn several_ports_and_named_targets() {
    let mut spec = web();
    let dns = PortSpec {
        name: Some("dns".to_owned()),
        protocol: Protocol::Udp,
        port: 80,
        target: Some(Target::Name("dns".to_owned())),
        node_port: None,
    };
    spec.ports.push(dns);
    for (port, endpoint) in (5300..).zip(&mut spec.endpoints) {
        endpoint.ports.insert("dns".to_owned(), port);
    }
    let resolved = resolved(&spec);
    let address: IpAddr = "10.96.0.10".parse().expect("address");
    let udp = &resolved.entries[&ServiceKey::new(address.into(), 80_u16.to_be(), 17)];
    let ports: Vec<_> = udp.inside.iter().map(|it| (u16::from_be(it.port), it.protocol)).collect();
    assert_eq!(ports, [(5300, 17), (5301, 17), (5302, 17)]);
    assert_ne!(udp.id, entry(&resolved, "10.96.0.10", 80).id);
}

#[test]
fn a_backend_is_listed_once() {
    let mut spec = web();
    spec.endpoints.push(spec.endpoints[0].clone());
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
    spec.endpoints.reverse();
    assert_eq!(runs(&spec), ["1 2 3", "1 2 3", "1 2 3"]);
}

#[test]
fn maglev_is_for_external_frontends() {
    let mut spec = web();
    spec.external_policy = Policy::Local;
    let resolved = resolved_with(&spec, &Locals::default(), Choice::Maglev);
    let (cluster, external) =
        (entry(&resolved, "10.96.0.10", 80), entry(&resolved, "192.0.2.1", 80));
    assert_eq!((cluster.flags, cluster.inside.len()), (0, 3));
    assert_eq!(external.flags, FLAG_EXTERNAL | FLAG_HASHED);
    assert_eq!((external.inside.len(), external.outside.len()), (509, 251));
    assert!(external.outside.iter().all(|it| *it == external.outside[0]));
}

#[test]
fn host_local_backends_answer_while_they_live() {
    let spec = web();
    let local = |addresses: &[&str], fallback| LocalSpec {
        service: spec.name.clone(),
        addresses: addresses.iter().map(|it| it.parse().expect("address")).collect(),
        fallback,
    };
    let runs_of = |locals: &Locals| {
        let resolved = resolved_with(&spec, locals, Choice::Random);
        let at = |address| run(&entry(&resolved, address, 80).inside);
        [at("10.96.0.10"), at("fd00:96::a"), at("192.0.2.1")]
    };
    let process = backend([169, 254, 20, 10].into(), 80, Protocol::Tcp);
    let mut locals = Locals::new(vec![local(&["169.254.20.10:80", "169.254.20.10:53"], true)]);
    assert_eq!(locals.candidates(&spec), [process].into());
    assert_eq!(runs_of(&locals), ["1 2 3", "1 2 3", "1 2 3"]);
    assert!(locals.set_alive(process, true) && !locals.set_alive(process, true));
    // By the third byte of the address. The other family and external addresses have no rule.
    assert_eq!(runs_of(&locals), ["20", "1 2 3", "1 2 3"]);
    let locals = Locals::new(vec![local(&["169.254.20.10:80"], false)]);
    assert_eq!(runs_of(&locals), ["", "1 2 3", "1 2 3"]);
    // Without a port: the one that the Service's backends have.
    let mut locals = Locals::new(vec![local(&["10.0.9.9"], true)]);
    let pod = backend([10, 0, 9, 9].into(), 8080, Protocol::Tcp);
    assert_eq!(locals.candidates(&spec), [pod].into());
    locals.set_alive(pod, true);
    assert_eq!(runs_of(&locals), ["9", "1 2 3", "1 2 3"]);
}
