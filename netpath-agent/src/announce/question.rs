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
    let question = Question { interface, about: gateway, frame };
    let answer = |heard| match heard {
        Heard::Claim(mac) => Some(mac),
        Heard::Probe(_) => None,
    };
    question.ask(timeout, answer).await
}

/// A question about an address.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) interface: &'a Interface,
    pub(super) about: IpAddr,
    pub(super) frame: Frame,
}

impl Question<'_> {
    /// Asks, evenly spread over `timeout`, and listens until `judge` has heard enough.
    pub(super) async fn ask<T>(
        &self,
        timeout: Duration,
        mut judge: impl FnMut(Heard) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Self { interface, about, frame } = self;
        let wire = Wire::open(interface, Some(*about)).await?;
        let mut buffer = [0; LONGEST];
        let (mut asked, mut dropped) = (false, None);
        let start = Instant::now();
        for round in 1..=ROUNDS {
            match wire.send(frame).await {
                Ok(()) => asked = true,
                Err(error) if error.is_drop() => dropped = Some(error),
                Err(error) => return Err(error),
            }
            let end = start + timeout * round / ROUNDS;
            // The timeout alone would not end a flood: it looks at the frames first.
            while Instant::now() < end {
                let Ok(frame) = time::timeout_at(end, wire.receive(&mut buffer)).await else {
                    break;
                };
                if let Some(answer) = heard::read(frame?, *about).and_then(&mut judge) {
                    return Ok(Some(answer));
                }
            }
        }
        match dropped {
            // Silence means nothing if nobody heard the question.
            Some(error) if !asked => Err(error),
            _ => Ok(None),
        }
    }
}
