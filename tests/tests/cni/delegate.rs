//! IPAM plugins.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use netpath_agent::{cni::Version, pod::Addressing};
use serde_json::{Value, json};

use crate::{Check, world::World};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("delegate::its_addresses_are_used", its_addresses_are_used),
    ("delegate::every_verb_is_passed_on", every_verb_is_passed_on),
    ("delegate::what_is_not_used_is_given_back", what_is_not_used_is_given_back),
    ("delegate::its_error_is_passed_on", its_error_is_passed_on),
    ("delegate::nonsense_is_refused", nonsense_is_refused),
];

/// The addresses that our plugin chooses.
fn chosen(version: &str) -> Value {
    json!({
        "cniVersion": version,
        "ips": [
            { "version": "4", "address": "10.0.1.50/24", "gateway": "10.0.1.1" },
            { "version": "6", "address": "fd00:1::50/64", "gateway": "fd00:1::1" },
        ],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.96.0.0/12", "gw": "10.0.1.2" }],
        "dns": { "search": ["example"] },
    })
}

/// Puts an IPAM plugin beside ours: it notes the verb, keeps its input, answers and ends.
fn plugin(world: &World, answer: &str, code: u8) -> Result<Value> {
    let program = world.folder.path().join("chooser");
    let script = format!(
        "#!/bin/sh\ncd {}\necho $CNI_COMMAND >> verbs\ncat > input\ncat <<'END'\n{answer}\nEND\nexit {code}\n",
        world.folder.path().display(),
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let mut config = world.ground.config("1.1.0");
    config["ipam"] = json!({ "type": "chooser", "subnet": "10.0.1.0/24" });
    Ok(config)
}

/// The verbs that it was started for, in order.
fn verbs(world: &World) -> Result<String> {
    let verbs = fs::read_to_string(world.folder.path().join("verbs"))?;
    Ok(verbs.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn its_addresses_are_used(world: &World) -> Result<()> {
    for version in Version::ALL {
        let mut config = plugin(world, &chosen(version.text()).to_string(), 0)?;
        config["cniVersion"] = version.text().into();
        let answer = world.call("ADD", "a", &config)?.answer()?;
        let input: Value = serde_json::from_slice(&fs::read(world.folder.path().join("input"))?)?;
        ensure!(input == config, "the plugin got {input}");
        ensure!(answer["ips"][0]["address"] == "10.0.1.50/24", "{answer}");
        ensure!(answer["ips"][1]["gateway"] == "fd00:1::1", "{answer}");
        ensure!(answer["dns"] == json!({ "search": ["example"] }), "{answer}");
        let routes = json!([
            { "dst": "0.0.0.0/0", "gw": "10.0.1.1" },
            { "dst": "::/0", "gw": "fd00:1::1" },
            { "dst": "10.96.0.0/12", "gw": "10.0.1.2" },
        ]);
        ensure!(answer["routes"] == routes, "{answer}");
        world.call("DEL", "a", &config)?.silence()?;
    }
    let memory = world.agent.memory();
    let given =
        |spec: &netpath_agent::pod::PodSpec| matches!(spec.addressing, Addressing::Given { .. });
    ensure!(memory.specs.iter().all(given), "{memory:?}");
    Ok(())
}

fn every_verb_is_passed_on(world: &World) -> Result<()> {
    let mut config = plugin(world, &chosen("1.1.0").to_string(), 0)?;
    world.call("STATUS", "a", &config)?.silence()?;
    config["prevResult"] = world.call("ADD", "a", &config)?.answer()?;
    world.call("CHECK", "a", &config)?.silence()?;
    config["cni.dev/valid-attachments"] = json!([]);
    world.call("GC", "a", &config)?.silence()?;
    world.call("DEL", "a", &config)?.silence()?;
    let verbs = verbs(world)?;
    ensure!(verbs == "STATUS ADD CHECK GC DEL", "{verbs}");
    Ok(())
}

fn what_is_not_used_is_given_back(world: &World) -> Result<()> {
    let config = plugin(world, &chosen("1.1.0").to_string(), 0)?;
    world.agent.refuse(StatusCode::CONFLICT, Some("conflict"), None);
    world.call("ADD", "a", &config)?.refusal(101, "refused")?;
    let verbs = verbs(world)?;
    ensure!(verbs == "ADD DEL", "{verbs}");
    Ok(())
}

fn its_error_is_passed_on(world: &World) -> Result<()> {
    let error =
        json!({ "cniVersion": "1.1.0", "code": 110, "msg": "full", "details": "10.0.1.0/24" });
    let config = plugin(world, &error.to_string(), 1)?;
    let outcome = world.call("ADD", "a", &config)?;
    outcome.refusal(110, "IPAM plugin chooser: full: 10.0.1.0/24")?;
    world.agent.unmoved()
}

fn nonsense_is_refused(world: &World) -> Result<()> {
    for (answer, code, expected) in [
        ("", 0, 102),
        ("{", 0, 102),
        ("[]", 0, 102),
        ("{\"ips\": [{\"address\": \"10.0.0.1\"}]}", 0, 102),
        ("{}", 0, 7),
        ("no JSON", 1, 102),
        ("{\"code\": \"7\"}", 3, 102),
    ] {
        let config = plugin(world, answer, code)?;
        world.call("ADD", "a", &config)?.refusal(expected, "IPAM")?;
        world.agent.unmoved()?;
    }
    Ok(())
}
