//! Looking through all connections.

use std::{collections::HashMap, time::Duration};

use netpath_common::{BackendId, Connection, FlowKey};
use nix::libc;

use super::{Pair, Timeouts, is_stray};
use crate::datapath::{Connections, Error};

/// What a look through all connections found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries that were there; a connection has two.
    pub entries: usize,
    /// Connections that were forgotten.
    pub forgotten: usize,
}

/// A connection, or what is left of one.
enum Found {
    Whole(Pair),
    Alone(FlowKey, Connection),
}

/// All connections of which both directions are there.
pub fn pairs(connections: &Connections) -> Result<Vec<Pair>, Error> {
    let (_, found) = all(connections)?;
    let whole = found.into_iter().filter_map(|found| match found {
        Found::Whole(pair) => Some(pair),
        Found::Alone(..) => None,
    });
    Ok(whole.collect())
}

/// Forgets connections to backends that are gone, if their next packet may go to somebody else; tells how
/// many. Directions are not brought together for that: it is done after every change. The way back stays
/// for a moment, for answers that are on it.
pub fn move_on(
    connections: &mut Connections,
    now: Duration,
    is_gone: impl Fn(&BackendId) -> bool,
) -> Result<usize, Error> {
    let mut moving = Vec::new();
    connections.each(|key, connection| {
        if connection.is_forward() && is_movable(&key) && is_gone(&connection.backend) {
            moving.push((key, connection.backend));
        }
    })?;
    for (key, backend) in &moving {
        // It may have been forgotten, and begun again with another one.
        if let Some(forward) = connections.get(key)?
            && forward.backend == *backend
        {
            connections.remove(key)?;
            connections.renew(&forward.reverse_key(key.protocol), now)?;
        }
    }
    Ok(moving.len())
}

/// Whether the next packet may go to somebody else: nobody but the backend knows of a TCP connection, but
/// any backend answers a datagram.
const fn is_movable(key: &FlowKey) -> bool {
    key.protocol == libc::IPPROTO_UDP.cast_unsigned()
}

/// Forgets connections whose time is over. `now` is of the programs' clock.
///
/// A packet may come by meanwhile: each is looked at again just before it is forgotten.
pub fn sweep(
    connections: &mut Connections,
    timeouts: &Timeouts,
    now: Duration,
) -> Result<Swept, Error> {
    let is_over = |pair: &Pair| pair.expires(now, timeouts).is_none();
    let (entries, found) = all(connections)?;
    let mut swept = Swept { entries, forgotten: 0 };
    for found in found {
        let forgotten = match found {
            Found::Whole(pair) if is_over(&pair) => {
                let back = pair.forward.reverse_key(pair.key.protocol);
                let again = (connections.get(&pair.key)?, connections.get(&back)?);
                let forgotten = match again {
                    (Some(forward), Some(back)) => is_over(&Pair { forward, back, ..pair }),
                    // The rest is alone, and its time will come.
                    _ => false,
                };
                if forgotten {
                    connections.remove(&pair.key)?;
                    connections.remove(&back)?;
                }
                forgotten
            }
            Found::Alone(key, alone) if is_stray(&alone, now) => {
                let other = alone.reverse_key(key.protocol);
                let forgotten =
                    connections.get(&key)? == Some(alone) && connections.get(&other)?.is_none();
                if forgotten {
                    connections.remove(&key)?;
                }
                forgotten
            }
            _ => false,
        };
        swept.forgotten += usize::from(forgotten);
    }
    Ok(swept)
}

/// All that there is, and the number of entries.
fn all(connections: &Connections) -> Result<(usize, Vec<Found>), Error> {
    let mut forward = Vec::new();
    let mut back = HashMap::new();
    connections.each(|key, connection| {
        if connection.is_forward() {
            forward.push((key, connection));
        } else {
            back.insert(key, connection);
        }
    })?;
    let entries = forward.len() + back.len();
    let mut found: Vec<_> = forward
        .into_iter()
        .map(|(key, forward)| match back.remove(&forward.reverse_key(key.protocol)) {
            Some(back) => Found::Whole(Pair { key, forward, back }),
            None => Found::Alone(key, forward),
        })
        .collect();
    found.extend(back.into_iter().map(|(key, back)| Found::Alone(key, back)));
    Ok((entries, found))
}
