//! What the cluster says, and what is made of it.

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::{Catalog, Update, convert};
use crate::kube::objects::{EndpointSlice, Service};
use crate::service::{Item, Policy, Protocol, ServiceSpec, Target};

fn service(value: Value) -> Event<(String, Option<Item>)> {
    let object: Service = serde_json::from_value(value).expect("a Service");
    Event::Apply(convert::service(object))
}

fn slice(value: Value) -> EndpointSlice {
    serde_json::from_value(value).expect("a slice")
}

fn web(ports: &Value) -> Value {
    json!({
        "metadata": {"namespace": "a", "name": "web"},
        "spec": {"clusterIPs": ["10.96.0.1", "fd00:96::1"], "ports": ports},
    })
}

fn of_web(name: &str, family: &str, ports: &Value, endpoints: &Value) -> EndpointSlice {
    slice(json!({
        "metadata": {
            "namespace": "a", "name": name, "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": family, "ports": ports, "endpoints": endpoints,
    }))
}

fn listed() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.services(Event::Init);
    catalog.slices(Event::Init);
    assert!(catalog.update().is_none(), "nothing was listed");
    catalog.services(Event::InitDone);
    assert!(catalog.update().is_none(), "slices were not listed");
    catalog.slices(Event::InitDone);
    assert!(matches!(catalog.update(), Some(Update::Whole(items)) if items.is_empty()));
    catalog
}

fn heard(catalog: &mut Catalog, event: EndpointSlice) -> Vec<ServiceSpec> {
    catalog.slices(Event::Apply(convert::slice(event)));
    changed(catalog)
}

fn changed(catalog: &mut Catalog) -> Vec<ServiceSpec> {
    let Some(Update::Changes { items, gone }) = catalog.update() else { return Vec::new() };
    assert!(gone.is_empty(), "{gone:?}");
    items.into_iter().map(|item| item.expect("right")).collect()
}

#[test]
fn everything_that_a_service_says_is_understood() {
    let (name, item) = convert::service(
        serde_json::from_value(json!({
            "metadata": {"namespace": "a", "name": "web"},
            "spec": {
                "type": "LoadBalancer",
                "clusterIPs": ["10.96.0.1", "fd00:96::1"],
                "externalIPs": ["192.0.2.1"],
                "loadBalancerSourceRanges": ["10.1.2.3/8", " fd00::/8 "],
                "sessionAffinity": "ClientIP",
                "internalTrafficPolicy": "Cluster",
                "externalTrafficPolicy": "Local",
                "healthCheckNodePort": 30100,
                "publishNotReadyAddresses": true,
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
            },
            "status": {"loadBalancer": {"ingress": [
                {"ip": "192.0.2.2"},
                {"ip": "192.0.2.3", "ipMode": "VIP"},
                {"ip": "192.0.2.4", "ipMode": "Proxy"},
                {"hostname": "lb.example"},
            ]}},
        }))
        .expect("a Service"),
    );
    let spec = item.expect("something to translate").expect("right");
    assert_eq!((name.as_str(), spec.name.as_str()), ("a/web", "a/web"));
    let text = |list: &[std::net::IpAddr]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(text(&spec.cluster_ips), "10.96.0.1 fd00:96::1");
    assert_eq!(text(&spec.external_ips), "192.0.2.1");
    assert_eq!(text(&spec.load_balancer_ips), "192.0.2.2 192.0.2.3");
    let ranges: Vec<_> = spec.source_ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(spec.affinity_seconds, Some(10_800));
    assert_eq!((spec.internal_policy, spec.external_policy), (Policy::Cluster, Policy::Local));
    assert_eq!((spec.health_check_port, spec.publish_not_ready), (Some(30_100), true));
    let ports: Vec<_> = spec.ports.iter().map(|it| (it.protocol, it.port, it.node_port)).collect();
    assert_eq!(ports, [(Protocol::Tcp, 80, Some(30_080)), (Protocol::Udp, 53, None)]);
    spec.check().expect("right");
}

#[test]
fn nothing_is_made_of_what_nobody_translates() {
    for spec in [
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}),
        json!({"type": "ExternalName", "externalName": "a.example"}),
    ] {
        let value = json!({"metadata": {"namespace": "a", "name": "b"}, "spec": spec});
        let object = serde_json::from_value(value).expect("a Service");
        assert_eq!(convert::service(object), ("a/b".to_owned(), None));
    }
}

#[test]
fn what_is_wrong_is_named() {
    let value = web(&json!([{"port": 80}, {"port": 81, "protocol": "DCCP"}]));
    let (_, item) = convert::service(serde_json::from_value(value).expect("a Service"));
    let bad = item.expect("an item").expect_err("wrong");
    assert_eq!((bad.name.as_str(), bad.field.as_str()), ("a/web", "spec.ports[1].protocol"));
    assert!(bad.problem.contains("DCCP"), "{}", bad.problem);
}

#[test]
fn conditions_mean_what_kubernetes_says() {
    let ports = json!([{"name": "", "port": 8080}]);
    let endpoints = json!([
        {"addresses": ["10.0.0.1"], "nodeName": "n1", "zone": "z1", "hints": {"forZones": [{"name": "z2"}]}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
        {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["fd00::1"]},
        {"addresses": []},
    ]);
    let (_, slice) = convert::slice(of_web("s", "IPv4", &ports, &endpoints));
    let endpoints = slice.expect("a slice").endpoints;
    let states: Vec<_> =
        endpoints.iter().map(|it| (it.ready, it.serving, it.terminating)).collect();
    assert_eq!(states, [(true, true, false), (false, false, false), (false, true, true)]);
    assert_eq!(
        (endpoints[0].node.as_deref(), endpoints[0].zone.as_deref()),
        (Some("n1"), Some("z1"))
    );
    assert_eq!(endpoints[0].hints, ["z2"]);
    let names = slice_of("FQDN");
    assert_eq!(names, None, "names are nothing to translate");
}

fn slice_of(family: &str) -> Option<convert::Slice> {
    convert::slice(of_web("s", family, &json!([]), &json!([]))).1
}

#[test]
fn endpoints_follow_their_slices() {
    let mut catalog = listed();
    catalog.services(service(web(&json!([{"port": 80}]))));
    let [spec] = changed(&mut catalog).try_into().expect("one");
    assert_eq!(
        (spec.endpoints.len(), &spec.ports[0].target),
        (0, &Some(Target::Name("unnamed".into())))
    );

    let ports = json!([{"name": "", "port": 8080}]);
    let v4 = of_web("v4", "IPv4", &ports, &json!([{"addresses": ["10.0.0.1"]}]));
    let v6 = of_web("v6", "IPv6", &ports, &json!([{"addresses": ["fd00::1"]}]));
    assert_eq!(heard(&mut catalog, v4.clone())[0].endpoints.len(), 1);
    let [spec] = heard(&mut catalog, v6).try_into().expect("one");
    assert_eq!(spec.endpoints.len(), 2);
    assert_eq!(spec.ports[0].target, Some(Target::Number(8080)));
    assert!(spec.endpoints.iter().all(|it| it.ports.is_empty()));
    spec.check().expect("right");

    assert!(heard(&mut catalog, v4.clone()).is_empty(), "the same again is no change");
    catalog.slices(Event::Delete(convert::slice(v4)));
    let [spec] = changed(&mut catalog).try_into().expect("one");
    assert_eq!(spec.endpoints[0].addresses[0].to_string(), "fd00::1");

    let (name, _) = convert::service(serde_json::from_value(web(&json!([]))).expect("a Service"));
    catalog.services(Event::Delete((name, None)));
    let Some(Update::Changes { items, gone }) = catalog.update() else { panic!("no change") };
    assert_eq!((items.len(), gone[0].as_str()), (0, "a/web"));
}

#[test]
fn ports_that_differ_are_named() {
    let mut catalog = listed();
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    catalog.services(service(web(&ports)));
    drop(catalog.update());
    let one = json!([{"name": "a", "port": 8080}, {"name": "b", "port": 8081}]);
    heard(&mut catalog, of_web("one", "IPv4", &one, &json!([{"addresses": ["10.0.0.1"]}])));
    // Another version of the pods has other ports, and lacks one.
    let two = json!([{"name": "a", "port": 9090}]);
    let other = of_web("two", "IPv4", &two, &json!([{"addresses": ["10.0.0.2"]}]));
    let [spec] = heard(&mut catalog, other).try_into().expect("one");
    let numbers: Vec<_> = spec
        .ports
        .iter()
        .map(|port| spec.endpoints.iter().map(|it| port.target_of(it)).collect::<Vec<_>>())
        .collect();
    assert_eq!(numbers, [[Some(8080), Some(9090)], [Some(8081), None]]);
    spec.check().expect("right as a cluster has it");
}

#[test]
fn a_new_list_takes_the_place_of_the_old_one() {
    let mut catalog = listed();
    catalog.services(service(web(&json!([{"port": 80}]))));
    let stays = json!({
        "metadata": {"namespace": "a", "name": "stays"},
        "spec": {"clusterIPs": ["10.96.0.2"], "ports": [{"port": 80}]},
    });
    catalog.services(service(stays.clone()));
    assert_eq!(changed(&mut catalog).len(), 2);
    catalog.services(Event::Init);
    let Event::Apply(stays) = service(stays) else { panic!("applied") };
    catalog.services(Event::InitApply(stays));
    assert!(catalog.update().is_none(), "the old list holds until the new one is whole");
    catalog.services(Event::InitDone);
    let Some(Update::Changes { items, gone }) = catalog.update() else { panic!("no change") };
    assert_eq!((items.len(), gone.len(), gone[0].as_str()), (0, 1, "a/web"));
    assert!(catalog.update().is_none(), "it was told");
}
