//! What pods ask for by annotations, and networks of the cluster say.

use std::{net::IpAddr, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    PATIENCE, api,
    pod::{Named, Pod},
    publish, ready,
};
use crate::sandbox::{
    address::Family,
    command,
    fabric::{Fabric, Plan, subnet},
    scenario::{Bench, Outcome},
    wait,
};

/// Of pods that are special.
const SPECIAL: &str = "10.0.1.96/28";

pub(super) fn asks(bench: &Bench) -> Result<Outcome> {
    let mut fabric =
        Fabric::build(&bench.programs, Plan { cluster: true, nodes: 1, ..Plan::default() })?;
    publish(api(&fabric)?)?;
    networks(&fabric)?;
    ready(&fabric, 0, 5)?;
    by_network(&mut fabric)?;
    by_pool(&fabric)?;
    refused(&fabric)?;
    strangers(&fabric)?;
    Ok(Outcome::Passed)
}

/// More pools and networks, and the namespace of the pods.
fn networks(fabric: &Fabric) -> Result<()> {
    let api = api(fabric)?;
    api.put(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "default", "labels": {"team": "a"}},
    }))?;
    let pool = |name: &str, spec: Value| -> Result<()> {
        let mut spec = spec;
        for (field, usual) in [("default", json!(false)), ("priority", json!(0))] {
            if spec.get(field).is_none() {
                spec[field] = usual;
            }
        }
        spec["blockSize"] = json!(16);
        api.put(json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": "IPPool",
            "metadata": {"name": name}, "spec": spec,
        }))?;
        Ok(())
    };
    for (name, family) in [("fast4", Family::Ipv4), ("fast6", Family::Ipv6)] {
        let fast = subnet(1);
        pool(name, json!({"subnet": fast.prefix(family), "gateway": fast.gateway().of(family)}))?;
    }
    pool(
        "special",
        json!({
            "subnet": subnet(0).prefix(Family::Ipv4), "ranges": [SPECIAL], "default": true,
            "gateway": subnet(0).gateway().of(Family::Ipv4), "priority": 10,
            "podSelector": {"matchLabels": {"app": "special"}},
        }),
    )?;
    let team = json!({"matchLabels": {"team": "b"}});
    for (name, spec) in [
        (
            "fast",
            json!({
                "attachment": "macvlan", "parents": ["eth9", "eth1"], "pools": ["fast4", "fast6"],
                "routes": [{"dst": "198.51.100.0/24"}],
            }),
        ),
        ("closed", json!({"namespaceSelector": team})),
        ("elsewhere", json!({"parents": ["eth9"]})),
    ] {
        api.put(json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": "Network",
            "metadata": {"name": name}, "spec": spec,
        }))?;
    }
    Ok(())
}

fn by_network(fabric: &mut Fabric) -> Result<()> {
    let routes = r#"[{"dst": "203.0.113.0/24"}]"#;
    let annotations = json!({"netpath.io/network": "fast", "netpath.io/routes": routes});
    let pod = Pod::of_cluster(fabric, 0, "fast-0", &annotations)?.added(fabric)?;
    is_fast(&pod)?;
    let shown = show(&pod, &["route"])?;
    for route in ["198.51.100.0/24", "203.0.113.0/24"] {
        ensure!(shown.contains(route), "no route to {route}: {shown}");
    }
    // The same addition again is none.
    let again = pod.call(fabric, "ADD")?.answer()?;
    ensure!(again["ips"].as_array().is_some_and(|ips| ips.len() == 2), "{again}");

    // What the cluster said holds while it is silent, and for an agent that starts then.
    api(fabric)?.go_down()?;
    fabric.agents.remove(0).end(Signal::SIGKILL)?;
    fabric.start_agent(0)?;
    pod.remove(fabric)?;
    let pod = pod.added(fabric)?;
    is_fast(&pod)?;
    api(fabric)?.come_up()?;
    pod.remove(fabric)?;

    // By the CNI configuration.
    let mut pod = Pod::of_cluster(fabric, 0, "fast-1", &json!({}))?;
    pod.config = json!({"network": "fast"});
    // As the kubelet does: the agent may not have heard the API server again.
    wait::until("the pod is known", PATIENCE, || {
        Ok((pod.call(fabric, "ADD")?.status == Some(0)).then_some(()))
    })?;
    let pod = pod.added(fabric)?;
    is_fast(&pod)?;
    pod.remove(fabric)
}

fn is_fast(pod: &Pod) -> Result<()> {
    let link = show(pod, &["-d", "link", "show", "dev", "eth0"])?;
    ensure!(link.contains("macvlan"), "no macvlan: {link}");
    for family in Family::BOTH {
        let prefix: ipnet::IpNet = subnet(1).prefix(family).parse()?;
        let is_of = |address: &&IpAddr| prefix.contains(*address);
        ensure!(pod.addresses.iter().any(|it| is_of(&it)), "{prefix}: {:?}", pod.addresses);
    }
    Ok(())
}

fn by_pool(fabric: &Fabric) -> Result<()> {
    let special: ipnet::IpNet = SPECIAL.parse()?;
    let of_special = |pod: &Pod| pod.addresses.iter().filter(|it| special.contains(*it)).count();
    let pod = Pod::of_cluster(fabric, 0, "special", &json!({}))?.added(fabric)?;
    ensure!(of_special(&pod) == 1 && pod.addresses.len() == 2, "{:?}", pod.addresses);
    let usual = Pod::of_cluster(fabric, 0, "usual", &json!({}))?.added(fabric)?;
    ensure!(of_special(&usual) == 0 && usual.addresses.len() == 2, "{:?}", usual.addresses);
    let named = json!({"netpath.io/pools": "v6"});
    let six = Pod::of_cluster(fabric, 0, "six", &named)?.added(fabric)?;
    ensure!(six.addresses.len() == 1 && six.addresses[0].is_ipv6(), "{:?}", six.addresses);
    [pod, usual, six].iter().try_for_each(|pod| pod.remove(fabric))
}

/// What can not be is refused, and the pod's events say why.
fn refused(fabric: &Fabric) -> Result<()> {
    for (name, annotation, value, code, about) in [
        ("no-network", "network", "none", 7, "Network none is not there; choose one of"),
        ("closed", "network", "closed", 7, "Network closed is not for pods of namespace default"),
        ("elsewhere", "network", "elsewhere", 7, "none of the parents of Network elsewhere"),
        ("not-special", "pools", "special", 7, "IPPool special is not for pod default/not-special"),
        ("taken", "fixed", "10.0.1.97", 7, "IPPool special is not for pod default/taken"),
        ("bad", "routes", "[{}]", 7, "annotation netpath.io/routes: [0]: missing field `dst`"),
        ("outside", "fixed", "10.99.0.1", 7, "10.99.0.1 can be had from no IPPool"),
    ] {
        let annotations = json!({format!("netpath.io/{annotation}"): value});
        let pod = Pod::of_cluster(fabric, 0, name, &annotations)?;
        pod.call(fabric, "ADD")?.refusal(code, about)?;
        wait::until("an event says why", PATIENCE, || {
            let events = api(fabric)?.list("events.events.k8s.io", Some("default"))?;
            let is = |event: &Value| {
                event["regarding"]["name"] == name
                    && event["note"].as_str().is_some_and(|note| note.contains(about))
            };
            Ok(events.iter().any(is).then_some(()))
        })?;
    }
    Ok(())
}

/// Pods that the cluster does not know.
fn strangers(fabric: &Fabric) -> Result<()> {
    let uid = "00000000-0000-0000-0000-000000000000".to_owned();
    let stranger = Pod::new(fabric, 0, "stranger", Named::Yes(uid))?;
    stranger.call(fabric, "ADD")?.refusal(11, "the cluster has no such pod on this node")?;
    // A static pod, of which the kubelet makes an object when it likes.
    let uid = "0123456789abcdef0123456789abcdef".to_owned();
    let pod = Pod::new(fabric, 0, "static", Named::Yes(uid))?.added(fabric)?;
    pod.remove(fabric)
}

fn show(pod: &Pod, arguments: &[&str]) -> Result<String> {
    command::run(Command::new("ip").args(["-n", pod.namespace.name()]).args(arguments))
        .context("ip in the pod")
}
