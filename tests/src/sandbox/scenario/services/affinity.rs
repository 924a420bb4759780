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

const SECONDS: u32 = 2;
const TIME: Duration = Duration::from_secs(SECONDS as u64);

pub(super) fn stays(stage: &Stage) -> Result<()> {
    let fields = [("affinity_seconds", SECONDS.into())];
    stage.apply(&stage.endpoints(&["q1", "q2"])?, &fields)?;
    for client in stage.clients()? {
        for (family, proto) in ways() {
            let (mut asked, mut last) = (Instant::now(), answer(client, family, proto)?);
            for _ in 0..OFTEN {
                let (now, next) = (Instant::now(), answer(client, family, proto)?);
                // On a machine that is busy with something else the time may be over.
                let stays = asked.elapsed() < TIME;
                let (name, proto) = (&client.name, proto.name());
                ensure!(next == last || !stays, "{name} {proto}: {next}, before {last}");
                (asked, last) = (now, next);
            }
        }
    }
    // Who was not heard for so long is free again, and moves half of the times.
    let client = stage.pod("p1")?;
    for family in Family::BOTH {
        let mut asked = Instant::now();
        let first = answer(client, family, Proto::Tcp)?;
        wait::until("another backend", Duration::from_mins(1), || {
            if asked.elapsed() <= TIME + Duration::from_millis(100) {
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
