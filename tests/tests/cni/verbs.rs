//! The verbs, in every version that has them.

use anyhow::{Result, ensure};
use netpath_agent::{cni::Version, pod::Addressing};
use serde_json::{Value, json};

use crate::{Check, world::World};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("verbs::add_tells_all_versions_what_was_made", add_tells_all_versions_what_was_made),
    ("verbs::add_passes_everything_on", add_passes_everything_on),
    ("verbs::only_a_primary_network_has_default_routes", only_a_primary_network_has_default_routes),
    ("verbs::addresses_can_be_asked_for", addresses_can_be_asked_for),
    ("verbs::repetition_changes_nothing", repetition_changes_nothing),
    ("verbs::del_needs_nothing_but_names", del_needs_nothing_but_names),
    ("verbs::check_tells_what_the_runtime_believes", check_tells_what_the_runtime_believes),
    ("verbs::gc_keeps_what_is_valid", gc_keeps_what_is_valid),
    ("verbs::status_is_silent_when_ready", status_is_silent_when_ready),
    ("verbs::version_lists_versions", version_lists_versions),
];

fn add_tells_all_versions_what_was_made(world: &World) -> Result<()> {
    for version in Version::ALL {
        let text = version.text();
        let config = world.ground.config(text);
        let mut expected = json!({
            "cniVersion": text,
            "interfaces": [{
                "name": "eth0", "mac": "02:00:00:00:00:01", "mtu": 1500,
                "sandbox": world.ground.netns,
            }],
            "ips": [
                { "address": "10.0.1.5/24", "gateway": "10.0.1.1", "interface": 0 },
                { "address": "fd00:1::5/64", "gateway": "fd00:1::1", "interface": 0 },
            ],
            "routes": [
                { "dst": "0.0.0.0/0", "gw": "10.0.1.1" },
                { "dst": "::/0", "gw": "fd00:1::1" },
            ],
        });
        if version < Version::V1_1_0 {
            let interface = expected["interfaces"][0].as_object_mut();
            interface.and_then(|interface| interface.remove("mtu"));
        }
        if version < Version::V1_0_0 {
            expected["ips"][0]["version"] = "4".into();
            expected["ips"][1]["version"] = "6".into();
        }
        let outcome = world.call("ADD", "a", &config)?;
        ensure!(outcome.answer()? == expected, "{text}: {outcome:?}");
        ensure!(outcome.complaints.contains("a note of the agent"), "{outcome:?}");
        world.call("DEL", "a", &config)?.silence()?;
        ensure!(world.agent.memory().pods.is_empty(), "{text}: the pod is still there");
    }
    Ok(())
}

fn add_passes_everything_on(world: &World) -> Result<()> {
    let mut config = world.ground.config("1.1.0");
    let members = json!({
        "parent": "bond0.7", "pools": ["blue", "green"], "table": 7, "mtu": 1400,
        "defaultRoute": false, "fixedOwner": true, "ipam": {}, "dns": { "domain": "example" },
        "routes": [{ "dst": "10.96.0.0/12", "gw": "10.0.1.9", "mtu": 1300, "priority": 5 }],
        "runtimeConfig": { "bandwidth": { "ingressRate": 8000 } },
        "capabilities": { "ips": true }, "somebodyElses": [{}],
    });
    merge(&mut config, members);
    let arguments = "IgnoreUnknown=true;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;\
                     K8S_POD_UID=7;K8S_POD_INFRA_CONTAINER_ID=c;COLOUR=red";
    let call = world.ground.call("ADD", "a", &config).with("CNI_ARGS", arguments);
    let outcome = world.run(&call)?;
    let answer = outcome.answer()?;
    let route = json!({ "dst": "10.96.0.0/12", "gw": "10.0.1.9", "mtu": 1300, "priority": 5 });
    ensure!(answer["routes"] == json!([route]), "{answer}");
    ensure!(answer["dns"] == json!({ "domain": "example" }), "{answer}");
    ensure!(outcome.complaints.contains("bandwidth"), "{outcome:?}");
    let memory = world.agent.memory();
    let spec = serde_json::to_value(&memory.specs[0])?;
    let expected = json!({
        "id": { "network": "underlay", "container": "a", "interface": "eth0" },
        "netns": world.ground.netns,
        "pod": { "namespace": "shop", "name": "web-0", "uid": "7" },
        "parent": "bond0.7", "table": 7, "mtu": 1400, "default_route": false,
        "addressing": { "pools": { "pools": ["blue", "green"], "owner": "shop/web-0" } },
        "routes": [{
            "destination": "10.96.0.0/12", "gateway": "10.0.1.9", "mtu": 1300, "priority": 5,
        }],
        "bandwidth": {
            "ingressRate": 8000, "ingressBurst": null, "egressRate": null, "egressBurst": null,
        },
    });
    ensure!(spec == expected, "asked for {spec}");
    Ok(())
}

fn merge(config: &mut Value, members: Value) {
    if let (Some(config), Value::Object(members)) = (config.as_object_mut(), members) {
        config.extend(members);
    }
}

fn only_a_primary_network_has_default_routes(world: &World) -> Result<()> {
    for (interface, wish, expected) in [
        ("eth0", Value::Null, true),
        ("net1", Value::Null, false),
        ("net2", true.into(), true),
        ("eth0", false.into(), false),
    ] {
        let mut config = world.ground.config("1.0.0");
        config["defaultRoute"] = wish.clone();
        let call = world.ground.call("ADD", "a", &config).with("CNI_IFNAME", interface);
        let answer = world.run(&call)?.answer()?;
        ensure!(answer["interfaces"][0]["name"] == interface, "{answer}");
        ensure!(answer["routes"].is_array() == expected, "{interface} {wish}: {answer}");
        let del = world.ground.call("DEL", "a", &config).with("CNI_IFNAME", interface);
        world.run(&del)?.silence()?;
    }
    Ok(())
}

fn addresses_can_be_asked_for(world: &World) -> Result<()> {
    let mut capability = world.ground.config("1.0.0");
    capability["runtimeConfig"] = json!({ "ips": ["10.0.1.77/24", "fd00:1::77"] });
    let plain = world.ground.config("1.0.0");
    let argument = world.ground.call("ADD", "b", &plain).with("CNI_ARGS", "IP=10.0.1.78");
    world.call("ADD", "a", &capability)?.answer()?;
    world.run(&argument)?.answer()?;
    let expected = [vec!["10.0.1.77", "fd00:1::77"], vec!["10.0.1.78"]];
    for (spec, expected) in world.agent.memory().specs.iter().zip(expected) {
        let Addressing::Pools { requested, .. } = &spec.addressing else {
            anyhow::bail!("no pools: {spec:?}");
        };
        let requested: Vec<_> = requested.iter().map(ToString::to_string).collect();
        ensure!(requested == expected, "{requested:?}");
    }
    Ok(())
}

fn repetition_changes_nothing(world: &World) -> Result<()> {
    let config = world.ground.config("1.1.0");
    let first = world.call("ADD", "a", &config)?.answer()?;
    ensure!(world.call("ADD", "a", &config)?.answer()? == first, "a second ADD differs");
    ensure!(world.agent.memory().pods.len() == 1, "more than one pod");
    for _ in 0..3 {
        world.call("DEL", "a", &config)?.silence()?;
    }
    world.call("DEL", "never-there", &config)?.silence()?;
    ensure!(world.agent.memory().pods.is_empty(), "a pod is left");
    Ok(())
}

fn del_needs_nothing_but_names(world: &World) -> Result<()> {
    let config = world.ground.config("1.1.0");
    let mut broken = config.clone();
    // Somebody spoilt the configuration, after the pods were made.
    merge(&mut broken, json!({ "mtu": "large", "prevResult": "lost", "routes": 7 }));
    for (container, namespace) in [("a", None), ("b", Some("/run/netns/gone")), ("c", Some("/"))] {
        world.call("ADD", container, &config)?.answer()?;
        let call = world.ground.call("DEL", container, &broken).with("CNI_ARGS", "garbage");
        let call = match namespace {
            Some(path) => call.with("CNI_NETNS", path),
            None => call.without("CNI_NETNS").without("CNI_PATH"),
        };
        world.run(&call)?.silence()?;
        ensure!(world.agent.memory().pods.is_empty(), "{container} is left");
    }
    Ok(())
}

fn check_tells_what_the_runtime_believes(world: &World) -> Result<()> {
    for version in [Version::V0_4_0, Version::V1_0_0, Version::V1_1_0] {
        let mut config = world.ground.config(version.text());
        config["mtu"] = 1400.into();
        config["prevResult"] = world.call("ADD", "a", &config)?.answer()?;
        world.call("CHECK", "a", &config)?.silence()?;
        let mut pod = world.agent.memory().pods[0].clone();
        pod.notes.clear();
        let believed = world.agent.memory().checked.pop();
        ensure!(believed.as_ref() == Some(&pod), "{believed:?} is not {pod:?}");
        world.call("DEL", "a", &config)?.silence()?;
    }
    Ok(())
}

fn gc_keeps_what_is_valid(world: &World) -> Result<()> {
    let mut config = world.ground.config("1.1.0");
    for container in ["a", "b", "c"] {
        world.call("ADD", container, &config)?.answer()?;
    }
    config["cni.dev/valid-attachments"] = json!([{ "containerID": "b", "ifname": "eth0" }]);
    let call = world.ground.call("GC", "", &config);
    world
        .run(&call.without("CNI_CONTAINERID").without("CNI_NETNS").without("CNI_IFNAME"))?
        .silence()?;
    let left: Vec<_> = world.agent.memory().pods.iter().map(|pod| pod.id.to_string()).collect();
    ensure!(left == ["underlay/b/eth0"], "{left:?}");
    Ok(())
}

fn status_is_silent_when_ready(world: &World) -> Result<()> {
    let call = world.ground.call("STATUS", "", &world.ground.config("1.1.0"));
    world
        .run(&call.without("CNI_CONTAINERID").without("CNI_NETNS").without("CNI_IFNAME"))?
        .silence()?;
    world.agent.unmoved()
}

fn version_lists_versions(world: &World) -> Result<()> {
    let all = json!(Version::ALL.map(Version::text));
    for (input, expected) in
        [(String::new(), "1.1.0"), (json!({ "cniVersion": "0.4.0" }).to_string(), "0.4.0")]
    {
        let call = world.ground.call("VERSION", "", &Value::Null).input(input);
        let answer = world.run(&call.without("CNI_PATH"))?.answer()?;
        let expected = json!({ "cniVersion": expected, "supportedVersions": all });
        ensure!(answer == expected, "{answer}");
    }
    Ok(())
}
