//! What the agent refuses, as codes.

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use netpath_agent::pod::Mismatch;
use serde_json::json;

use crate::{Check, world::World};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("refusals::each_has_its_code", each_has_its_code),
    ("refusals::check_names_every_mismatch", check_names_every_mismatch),
    ("refusals::check_of_the_unknown", check_of_the_unknown),
    ("refusals::answers_are_in_the_version_that_asked", answers_are_in_the_version_that_asked),
];

fn each_has_its_code(world: &World) -> Result<()> {
    let config = world.ground.config("1.1.0");
    for (status, code, field, expected) in [
        (StatusCode::INSUFFICIENT_STORAGE, Some("exhausted"), None, 100),
        (StatusCode::CONFLICT, Some("conflict"), None, 101),
        (StatusCode::CONFLICT, Some("address-taken"), None, 102),
        (StatusCode::CONFLICT, Some("busy"), None, 11),
        (StatusCode::NOT_FOUND, Some("no-pool"), None, 7),
        (StatusCode::BAD_REQUEST, Some("unknown-parent"), Some("parent"), 7),
        (StatusCode::BAD_REQUEST, Some("netns-gone"), Some("netns"), 3),
        (StatusCode::BAD_REQUEST, None, Some("netns"), 4),
        (StatusCode::BAD_REQUEST, None, Some("mtu"), 7),
        (StatusCode::INTERNAL_SERVER_ERROR, None, None, 102),
        (StatusCode::SERVICE_UNAVAILABLE, None, None, 11),
    ] {
        world.agent.refuse(status, code, field);
        world.call("ADD", "a", &config)?.refusal(expected, "refused with")?;
    }
    ensure!(world.agent.memory().pods.is_empty(), "a refused pod is there");
    Ok(())
}

fn check_names_every_mismatch(world: &World) -> Result<()> {
    let mut config = world.ground.config("1.1.0");
    config["prevResult"] = world.call("ADD", "a", &config)?.answer()?;
    let mismatch = |what: &str| Mismatch {
        what: what.to_owned(),
        expected: "up".to_owned(),
        found: "down".to_owned(),
    };
    world.agent.memory().mismatches = vec![mismatch("link"), mismatch("hook egress")];
    let both = "link: expected up, found down; hook egress: expected up, found down";
    world.call("CHECK", "a", &config)?.refusal(103, both)
}

fn check_of_the_unknown(world: &World) -> Result<()> {
    let mut config = world.ground.config("1.1.0");
    config["prevResult"] = json!({ "interfaces": [{ "name": "eth0", "sandbox": "/a" }] });
    world.call("CHECK", "stranger", &config)?.refusal(3, "stranger")
}

fn answers_are_in_the_version_that_asked(world: &World) -> Result<()> {
    for version in ["0.3.1", "1.0.0"] {
        let call = world.ground.call("ADD", "/", &world.ground.config(version));
        let outcome = world.run(&call)?;
        outcome.refusal(4, "CNI_CONTAINERID")?;
        let report: serde_json::Value = serde_json::from_slice(&outcome.output)?;
        ensure!(report["cniVersion"] == version, "{report}");
    }
    Ok(())
}
