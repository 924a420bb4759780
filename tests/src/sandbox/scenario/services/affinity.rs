//! A client stays with its backend until it was not heard for some time.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{OFTEN, PORT, SERVICE, Stage, ways};
use crate::sandbox::{
    address::Family,
    fabric::Pod,
    probe::{Patience, Proto, name},
    wait,
};

const SECONDS: u32 = 1;

pub(super) fn stays(stage: &Stage) -> Result<()> {
    let fields = [("affinity_seconds", SECONDS.into())];
    stage.apply(&stage.endpoints(&["q1", "q2"])?, &fields)?;
    for client in stage.clients()? {
        for (family, proto) in ways() {
            let first = answer(client, family, proto)?;
            for _ in 0..OFTEN {
                let next = answer(client, family, proto)?;
                ensure!(next == first, "{} {}: {next}, before {first}", client.name, proto.name());
            }
        }
    }
    // Who was not heard for so long is free again, and moves half of the times.
    let client = stage.pod("p1")?;
    for family in Family::BOTH {
        let mut asked = Instant::now();
        let first = answer(client, family, Proto::Tcp)?;
        wait::until("another backend", Duration::from_secs(30), || {
            if asked.elapsed() <= Duration::from_secs(u64::from(SECONDS) + 1) {
                return Ok(None);
            }
            let next = answer(client, family, Proto::Tcp)?;
            asked = Instant::now();
            Ok((next != first).then_some(()))
        })?;
    }
    Ok(())
}

fn answer(client: &Pod, family: Family, proto: Proto) -> Result<IpAddr> {
    let to = SocketAddr::new(SERVICE.of(family), PORT);
    name(&client.namespace, to, proto, Patience::EXPECTED)?
        .with_context(|| format!("{to} is silent"))
}
