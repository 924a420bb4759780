//! What a round trip costs, by who asks whom and how the pods are wired.
//!
//! In a guest whose clock counts instructions (`cargo xtask bench cost`) a nanosecond is one. They
//! are those of both programs, of the kernel at both ends, and of the node in between.

mod echo;
mod network;
mod wired;
mod wiring;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use self::wired::Wired;
pub use self::wiring::{Limit, WIRINGS, Wiring};
use super::{address::Family, agent::Programs, probe::Proto};

/// The protocols that requests are sent by.
pub const PROTOS: [Proto; 2] = [Proto::Tcp, Proto::Udp];

/// Who asks whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// The node itself, by loopback: the floor of every round trip.
    Loopback,
    /// The host on the wire asks the node.
    ExternalHost,
    /// The host on the wire asks a pod.
    ExternalPod,
    /// A pod asks the host on the wire.
    PodExternal,
    /// The node asks a pod.
    HostPod,
    /// A pod asks another of its node.
    PodPod,
}

impl Exchange {
    /// All of them, in the order of every table.
    pub const ALL: [Self; 6] = [
        Self::Loopback,
        Self::ExternalHost,
        Self::ExternalPod,
        Self::PodExternal,
        Self::HostPod,
        Self::PodPod,
    ];

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::ExternalHost => "external->host",
            Self::ExternalPod => "external->pod",
            Self::PodExternal => "pod->external",
            Self::HostPod => "host->pod",
            Self::PodPod => "pod->pod",
        }
    }
}

/// A measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How the pods are wired.
    pub wiring: &'static str,
    /// Who asks whom.
    pub exchange: Exchange,
    /// TCP, over an open connection, or UDP.
    pub proto: Proto,
    /// The address family.
    pub family: Family,
    /// Instructions of a round trip.
    pub instructions: u32,
    /// The wiring that it is compared with.
    pub reference: &'static str,
    /// The part of the reference's instructions.
    pub ratio: f64,
    /// The largest ratio that is good enough.
    pub limit: Option<f64>,
}

/// Measures every exchange by these wirings, by both protocols and in both families.
pub fn measure<'a>(
    programs: &Programs,
    wirings: impl IntoIterator<Item = &'a Wiring>,
    progress: impl Fn(&str),
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for wiring in wirings {
        progress(wiring.name);
        let wired = Wired::make(programs, wiring).context(wiring.name)?;
        for proto in PROTOS {
            for family in Family::BOTH {
                for exchange in Exchange::ALL {
                    let cost = wired.round_trip(exchange, proto, family);
                    let what = (exchange, proto, family);
                    let cost = cost.with_context(|| format!("{}: {what:?}", wiring.name))?;
                    let row = Row::new(&rows, wiring, what, cost)?;
                    rows.push(row);
                }
            }
        }
    }
    Ok(rows)
}

impl Row {
    fn new(
        earlier: &[Self],
        wiring: &Wiring,
        (exchange, proto, family): (Exchange, Proto, Family),
        instructions: u32,
    ) -> Result<Self> {
        let Wiring { name, reference, limits, kind: _ } = *wiring;
        let same = |row: &&Self| {
            (row.wiring, row.exchange, row.proto, row.family)
                == (reference, exchange, proto, family)
        };
        let compared = match earlier.iter().find(same) {
            Some(row) => row.instructions,
            None if name == reference => instructions,
            None => bail!("{name}: {reference} was not measured before"),
        };
        let limited = |limit: &&Limit| limit.0 == exchange && limit.1 == proto;
        Ok(Self {
            wiring: name,
            exchange,
            proto,
            family,
            instructions,
            reference,
            ratio: f64::from(instructions) / f64::from(compared),
            limit: limits.iter().find(limited).map(|limit| f64::from(limit.2) / 100.0),
        })
    }

    /// Whether it costs more than it may.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.ratio > limit)
    }
}
