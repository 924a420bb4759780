//! Behind other plugins.

use anyhow::{Result, ensure};
use netpath_agent::cni::Version;
use serde_json::{Value, json};

use crate::{Check, world::World};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("chain::what_was_before_stays", what_was_before_stays),
    ("chain::check_finds_its_own", check_finds_its_own),
    ("chain::null_is_an_empty_list", null_is_an_empty_list),
];

/// A veth pair with an address, made by somebody before us.
fn before(version: Version) -> Value {
    let mut result = json!({
        "cniVersion": version.text(),
        "interfaces": [
            { "name": "veth1", "mac": "02:00:00:00:00:aa" },
            { "name": "net0", "mac": "02:00:00:00:00:bb", "sandbox": "/run/netns/a" },
        ],
        "ips": [{ "address": "192.168.0.2/24", "gateway": "192.168.0.1", "interface": 1 }],
        "routes": [{ "dst": "192.168.0.0/16", "gw": "192.168.0.1" }],
        "dns": { "nameservers": ["192.168.0.1"] },
        "theirs": { "colour": "red" },
    });
    if version < Version::V1_0_0 {
        result["ips"][0]["version"] = "4".into();
    }
    if version >= Version::V1_1_0 {
        result["interfaces"][0]["socketPath"] = "/run/vhost".into();
        result["routes"][0]["advmss"] = 1300.into();
    }
    result
}

fn what_was_before_stays(world: &World) -> Result<()> {
    for version in Version::ALL {
        let mut config = world.ground.config(version.text());
        let before = before(version);
        config["prevResult"] = before.clone();
        let answer = world.call("ADD", "a", &config)?.answer()?;
        for (key, count) in [("interfaces", 2), ("ips", 1), ("routes", 1)] {
            let old = answer[key].as_array().and_then(|list| list.get(..count));
            ensure!(old == before[key].as_array().map(Vec::as_slice), "{key}: {answer}");
        }
        ensure!(answer["dns"] == before["dns"] && answer["theirs"] == before["theirs"], "{answer}");
        ensure!(answer["interfaces"][2]["name"] == "eth0", "{answer}");
        ensure!(
            answer["ips"][1]["interface"] == 2 && answer["ips"][2]["interface"] == 2,
            "{answer}"
        );
        world.call("DEL", "a", &config)?.silence()?;
    }
    Ok(())
}

fn check_finds_its_own(world: &World) -> Result<()> {
    let mut config = world.ground.config("1.1.0");
    config["prevResult"] = before(Version::V1_1_0);
    let mut after = world.call("ADD", "a", &config)?.answer()?;
    // A later plugin has its say.
    if let Some(list) = after["interfaces"].as_array_mut() {
        list.push(json!({ "name": "ifb0" }));
    }
    config["prevResult"] = after;
    world.call("CHECK", "a", &config)?.silence()?;
    let memory = world.agent.memory();
    ensure!(memory.checked[0].addresses == memory.pods[0].addresses, "{memory:?}");
    Ok(())
}

fn null_is_an_empty_list(world: &World) -> Result<()> {
    let mut config = world.ground.config("0.4.0");
    config["prevResult"] = json!({ "interfaces": null, "ips": null, "routes": null, "dns": {} });
    let answer = world.call("ADD", "a", &config)?.answer()?;
    ensure!(answer["ips"][0]["interface"] == 0, "{answer}");
    Ok(())
}
