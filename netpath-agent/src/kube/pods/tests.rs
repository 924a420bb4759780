use std::collections::BTreeMap;

use serde_json::json;

use super::{Labels, Said};
use crate::{
    kube::types::{Fixed, Network, Owner, annotation},
    name::InterfaceName,
};

fn network(name: &str, spec: serde_json::Value) -> Network {
    Network::new(name, serde_json::from_value(spec).expect("spec"))
}

fn said(annotations: &[(&str, &str)]) -> Said {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Said {
        pod: Owner { namespace: "db".to_owned(), name: "db-0".to_owned() },
        uid: "u-1".to_owned(),
        labels: Labels::new(),
        annotations: annotations.iter().map(text).collect::<BTreeMap<_, _>>(),
        namespace: Labels::from([("team".to_owned(), "a".to_owned())]),
        networks: vec![
            network("usual", json!({"default": true, "pools": ["usual4"]})),
            network(
                "fast",
                json!({
                    "parents": ["eth1"], "attachment": "macvlan", "pools": ["fast4", "fast6"],
                    "routes": [{"dst": "10.96.0.0/12"}, {"dst": "10.0.0.0/8", "via": "10.0.1.2"}],
                }),
            ),
            network("other", json!({"namespaceSelector": {"matchLabels": {"team": "b"}}})),
            network("bad", json!({"table": "0"})),
        ],
    }
}

#[test]
fn an_annotation_goes_before_the_configuration_and_the_default() {
    let name = |annotations: &[(&str, &str)], interface: &str, network: Option<&str>| {
        let interface: InterfaceName = interface.parse().expect("name");
        let asked = said(annotations).asked(&interface, network).expect("asked");
        asked.network.map(|(name, _)| name)
    };
    let fast = [(annotation::NETWORK, "fast")];
    assert_eq!(name(&[], "eth0", None).as_deref(), Some("usual"));
    assert_eq!(name(&[], "eth0", Some("fast")).as_deref(), Some("fast"));
    assert_eq!(name(&fast, "eth0", Some("usual")).as_deref(), Some("fast"));
    // Annotations and the default are for the first interface.
    assert_eq!(name(&fast, "net1", Some("usual")).as_deref(), Some("usual"));
    assert_eq!(name(&fast, "net1", None), None);
}

#[test]
fn what_is_closer_to_the_pod_holds() {
    let route = r#"[{"dst": "10.0.0.0/8", "via": "10.0.1.3"}]"#;
    let annotations =
        [(annotation::NETWORK, "fast"), (annotation::ROUTES, route), (annotation::FIXED, "true")];
    let asked = said(&annotations).asked(&InterfaceName::ETH0, None).expect("asked");
    assert_eq!(asked.pools(), ["fast4", "fast6"]);
    assert_eq!(asked.wishes.fixed, Fixed::Any);
    let routes = asked.routes(&[]);
    let shown: Vec<_> = routes
        .iter()
        .map(|route| (route.destination.to_string(), route.gateway.map(|it| it.to_string())))
        .collect();
    let expected = [("10.96.0.0/12", None), ("10.0.0.0/8", Some("10.0.1.3"))];
    let expected = expected.map(|(to, via)| (to.to_owned(), via.map(str::to_owned)));
    assert_eq!(shown, expected);
    let annotations = [(annotation::NETWORK, "fast"), (annotation::POOLS, "mine")];
    let asked = said(&annotations).asked(&InterfaceName::ETH0, None).expect("asked");
    assert_eq!(asked.pools(), ["mine"]);
}

#[test]
fn what_is_wrong_is_named() {
    for (annotations, expected) in [
        (
            &[(annotation::NETWORK, "none")][..],
            "Network none is not there; choose one of usual, fast",
        ),
        (&[(annotation::NETWORK, "other")], "Network other is not for pods of namespace db"),
        (&[(annotation::NETWORK, "bad")], "Network bad: spec.table: "),
        (&[(annotation::FIXED, "yes")], "annotation netpath.io/fixed: \"yes\" is not valid"),
    ] {
        let error = said(annotations).asked(&InterfaceName::ETH0, None).expect_err(expected);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
