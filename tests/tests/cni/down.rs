//! Without an agent.

use std::{os::unix::net::UnixListener, time::Duration};

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use serde_json::json;

use crate::{Check, world::World};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("down::try_again_within_a_second", try_again_within_a_second),
    ("down::del_succeeds_when_nothing_is_left", del_succeeds_when_nothing_is_left),
    ("down::a_stopping_agent_is_none", a_stopping_agent_is_none),
    ("down::status_does_not_wait", status_does_not_wait),
];

/// A world whose agent was killed, and one that never had any.
fn deserted(world: &World) -> [std::path::PathBuf; 2] {
    let killed = world.folder.path().join("killed.sock");
    // The file stays, and nobody listens.
    drop(UnixListener::bind(&killed));
    [killed, world.folder.path().join("never.sock")]
}

fn try_again_within_a_second(world: &World) -> Result<()> {
    for socket in deserted(world) {
        let mut config = world.ground.config("1.1.0");
        config["socket"] = json!(socket);
        config["cni.dev/valid-attachments"] = json!([]);
        config["prevResult"] = json!({ "interfaces": [{ "name": "eth0", "sandbox": "/a" }] });
        for (verb, code) in [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)] {
            let outcome = world.call(verb, "a", &config)?;
            outcome.refusal(code, "no netpath-agent answers on")?;
            ensure!(outcome.elapsed < Duration::from_secs(1), "{verb}: {outcome:?}");
        }
    }
    Ok(())
}

fn del_succeeds_when_nothing_is_left(world: &World) -> Result<()> {
    for socket in deserted(world) {
        let mut config = world.ground.config("1.1.0");
        config["socket"] = json!(socket);
        let del = world.ground.call("DEL", "a", &config);
        // No interface of that name in the container.
        world.run(&del)?.silence()?;
        for gone in ["/run/netns/nobody-has-this", "/dev/null"] {
            world.run(&del.clone().with("CNI_NETNS", gone))?.silence()?;
        }
        world.run(&del.clone().without("CNI_NETNS"))?.silence()?;
        // Every namespace has this one.
        world.run(&del.with("CNI_IFNAME", "lo"))?.refusal(11, "no netpath-agent answers on")?;
    }
    Ok(())
}

fn a_stopping_agent_is_none(world: &World) -> Result<()> {
    world.agent.refuse(StatusCode::SERVICE_UNAVAILABLE, None, None);
    let config = world.ground.config("1.1.0");
    world.call("ADD", "a", &config)?.refusal(11, "refused")?;
    world.call("DEL", "a", &config)?.silence()?;
    world.call("STATUS", "a", &config)?.refusal(50, "refused")?;
    world.agent.refuse(StatusCode::SERVICE_UNAVAILABLE, Some("limited"), None);
    world.call("STATUS", "a", &config)?.refusal(51, "refused")
}

fn status_does_not_wait(world: &World) -> Result<()> {
    let socket = world.folder.path().join("silent.sock");
    let _listens = UnixListener::bind(&socket)?;
    let mut config = world.ground.config("1.1.0");
    config["socket"] = json!(socket);
    let outcome = world.call("STATUS", "a", &config)?;
    outcome.refusal(50, "did not answer")?;
    ensure!(outcome.elapsed < Duration::from_secs(2), "{outcome:?}");
    Ok(())
}
