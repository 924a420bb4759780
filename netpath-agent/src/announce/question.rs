//! Questions to the wire, asked until there is an answer.

use std::{net::IpAddr, time::Duration};

use netpath_common::Mac;
use tokio::time::{self, Instant};

use super::{
    Error, Interface,
    frame::{self, Frame},
    heard::{self, Heard},
    wire::{LONGEST, Wire},
};

/// How often a question is asked: `PROBE_NUM` of RFC 5227.
const ROUNDS: u32 = 3;

/// Asks where an address is, as an interface's owner of an address: the Ethernet address of the
/// one who answers, or `None` after `timeout`. The interface must be up.
pub async fn gateway(
    interface: &Interface,
    own: IpAddr,
    gateway: IpAddr,
    timeout: Duration,
) -> Result<Option<Mac>, Error> {
    let frame =
        frame::question(interface.mac, own, gateway).ok_or(Error::Families { own, gateway })?;
    let question = Question { interface, about: vec![(gateway, frame)] };
    let answer = |_, heard| match heard {
        Heard::Claim(mac) => Some(mac),
        Heard::Probe(_) => None,
    };
    question.ask(timeout, answer).await
}

/// Questions about addresses of one family.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) interface: &'a Interface,
    pub(super) about: Vec<(IpAddr, Frame)>,
}

impl Question<'_> {
    /// Asks, evenly spread over `timeout`, and listens until `judge` has heard enough.
    pub(super) async fn ask<T>(
        &self,
        timeout: Duration,
        mut judge: impl FnMut(IpAddr, Heard) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Self { interface, about } = self;
        let addresses: Vec<_> = about.iter().map(|(address, _)| *address).collect();
        let wire = Wire::open(interface, &addresses).await?;
        let mut buffer = [0; LONGEST];
        // Silence means nothing if the question never went out.
        let mut asked: Vec<_> = about.iter().map(|_| None).collect();
        let start = Instant::now();
        for round in 1..=ROUNDS {
            for ((_, frame), asked) in about.iter().zip(&mut asked) {
                match wire.send(frame).await {
                    Ok(()) => *asked = Some(Ok(())),
                    Err(error) if error.is_drop() => *asked = asked.take().or(Some(Err(error))),
                    Err(error) => return Err(error),
                }
            }
            let end = start + timeout * round / ROUNDS;
            // The timeout alone would not end a flood: it looks at the frames first.
            while Instant::now() < end {
                let Ok(frame) = time::timeout_at(end, wire.receive(&mut buffer)).await else {
                    break;
                };
                let frame = frame?;
                let heard = addresses
                    .iter()
                    .find_map(|address| Some((*address, heard::read(frame, *address)?)));
                if let Some(answer) = heard.and_then(|(address, heard)| judge(address, heard)) {
                    return Ok(Some(answer));
                }
            }
        }
        asked.into_iter().flatten().collect::<Result<(), _>>().map(|()| None)
    }
}
