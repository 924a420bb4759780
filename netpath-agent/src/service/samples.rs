//! Services that tests begin with.

use super::{ServiceSpec, local::Locals, resolve::View, select::Place};
use crate::config::Choice;

/// A dual-stack Service with everything that is reached from outside, and three endpoints: on `node1`
/// in zone a, on `node2` in zone b, and on `node3` in zone b.
pub(super) fn web() -> ServiceSpec {
    let text = r#"{
        "name": "default/web",
        "cluster_ips": ["10.96.0.10", "fd00:96::a"],
        "external_ips": ["192.0.2.1"],
        "load_balancer_ips": ["198.51.100.1", "2001:db8::1"],
        "ports": [{"name": "http", "port": 80, "target": 8080, "node_port": 30080}],
        "endpoints": [
            {"addresses": ["10.0.1.1", "fd00:1::1"], "node": "node1", "zone": "a"},
            {"addresses": ["10.0.2.1", "fd00:2::1"], "node": "node2", "zone": "b"},
            {"addresses": ["10.0.3.1", "fd00:3::1"], "node": "node3", "zone": "b"}
        ]
    }"#;
    serde_json::from_str(text).expect("a Service")
}

/// How `node1` sees it.
pub(super) fn view(locals: &Locals) -> View<'_> {
    let place = Place { node: "node1", zone: Some("a") };
    View { place, choice: Choice::Random, locals }
}
