use super::*;
use crate::service::{
    local::Locals,
    samples::{view, web},
};

fn put(registry: &mut Registry, spec: ServiceSpec) -> Result<(Outcome, Delta), Invalid> {
    let holder = |address: IpAddr| {
        (address == IpAddr::from([10, 0, 1, 11])).then(|| "pod".parse().expect("name"))
    };
    registry.put(spec, Origin::Runtime, &view(&Locals::default()), holder)
}

/// Another Service, which shares nothing with the sample.
fn other() -> ServiceSpec {
    let mut spec = web();
    spec.name = "default/other".parse().expect("name");
    spec.cluster_ips = ["10.96.0.11", "fd00:96::b"].map(|it| it.parse().expect("address")).into();
    spec.external_ips.clear();
    spec.load_balancer_ips.clear();
    spec.ports[0].node_port = Some(30081);
    spec
}

#[test]
fn a_change_is_what_differs() {
    let mut registry = Registry::default();
    let (outcome, delta) = put(&mut registry, web()).expect("taken");
    assert_eq!((outcome, delta.put.len(), delta.added.len()), (Outcome::Created, 7, 7));
    let (outcome, delta) = put(&mut registry, web()).expect("taken");
    assert_eq!((outcome, delta.is_empty()), (Outcome::Unchanged, true));
    let mut spec = web();
    spec.endpoints.pop();
    spec.external_ips.clear();
    let (outcome, delta) = put(&mut registry, spec).expect("taken");
    assert_eq!((outcome, delta.put.len(), delta.added.len()), (Outcome::Changed, 6, 0));
    assert_eq!((delta.remove.len(), registry.entry_count()), (1, 6));
    let name = web().name;
    let (held, delta) = registry.remove(&name).expect("there");
    assert_eq!((held.spec.endpoints.len(), delta.remove.len(), delta.put.len()), (2, 6, 0));
    assert!(registry.is_empty() && registry.owners.is_empty() && registry.remove(&name).is_none());
}

#[test]
fn a_change_can_be_taken_back() {
    let (mut registry, locals) = (Registry::default(), Locals::default());
    put(&mut registry, web()).expect("taken");
    let name = web().name;
    let before = Arc::clone(registry.get(&name).expect("there"));
    let mut spec = web();
    spec.endpoints.clear();
    put(&mut registry, spec).expect("taken");
    let back = registry.restore(&name, Some(&before), &view(&locals));
    assert_eq!((back.put.len(), registry.get(&name)), (7, Some(&before)));
    let back = registry.restore(&name, None, &view(&locals));
    assert_eq!((back.remove.len(), registry.len()), (7, 0));
}

#[test]
fn what_others_have_is_refused() {
    type Spoil = fn(&mut ServiceSpec);
    let cases: [(Spoil, &str, &str); 7] = [
        (|it| it.cluster_ips[0] = web().cluster_ips[0], "cluster_ips[0]", "by Service default/web"),
        (|it| it.external_ips = web().external_ips, "external_ips[0]", "by Service default/web"),
        (
            |it| it.load_balancer_ips = web().load_balancer_ips,
            "load_balancer_ips[0]",
            "198.51.100.1 port 80/tcp",
        ),
        (|it| it.ports[0].node_port = Some(30080), "ports[0].node_port", "30080/tcp is taken"),
        (
            |it| it.ports[0].node_port = Some(30999),
            "ports[0].node_port",
            "the health_check_port of",
        ),
        (|it| it.health_check_port = Some(30999), "health_check_port", "the health_check_port of"),
        (|it| it.health_check_port = Some(30080), "health_check_port", "a node port of Service"),
    ];
    let mut registry = Registry::default();
    put(&mut registry, ServiceSpec { health_check_port: Some(30999), ..web() }).expect("taken");
    for (spoil, field, said) in cases {
        let mut spec = other();
        spoil(&mut spec);
        let error = put(&mut registry, spec).expect_err(field);
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().contains(said) && error.problem.is_conflict(), "{error}");
    }
    let mut spec = other();
    spec.external_ips = vec![[10, 0, 1, 11].into()];
    let error = put(&mut registry, spec).expect_err("a pod's");
    assert!(error.to_string().contains("is endpoint pod's"), "{error}");
    assert_eq!(registry.len(), 1);
    let mut spec = other();
    spec.external_ips = web().external_ips;
    spec.ports[0].port = 81;
    put(&mut registry, spec).expect("another port of the same address");
    put(&mut registry, ServiceSpec { health_check_port: None, ..web() }).expect("taken");
    put(&mut registry, ServiceSpec { health_check_port: Some(30999), ..other() }).expect("free");
    assert_eq!(registry.health_checks().count(), 1);
    let ports: Vec<_> = registry.node_ports().map(|(port, ..)| port).collect();
    assert_eq!(ports, [30080, 30081]);
}

#[test]
fn thousands_are_resolved_at_once() {
    let mut registry = Registry::default();
    let locals = Locals::default();
    let begin = std::time::Instant::now();
    for number in 0..10_000_u32 {
        let mut spec = other();
        let [_, _, c, d] = number.to_be_bytes();
        spec.name = format!("default/web-{number}").parse().expect("name");
        spec.cluster_ips = vec![[10, 100, c, d].into()];
        spec.ports[0].node_port = None;
        for endpoint in &mut spec.endpoints {
            endpoint.addresses.truncate(1);
        }
        put(&mut registry, spec).expect("taken");
    }
    println!("10,000 Services: {:?}", begin.elapsed());
    let name = "default/web-7777".parse().expect("name");
    let begin = std::time::Instant::now();
    assert!(registry.refresh(&name, &view(&locals)).is_empty());
    println!("one again: {:?}", begin.elapsed());
    assert_eq!((registry.len(), registry.entry_count()), (10_000, 10_000));
}
