//! Both directions of a connection, its state and its time.

use std::time::Duration;

use netpath_common::{
    Connection, FlowKey,
    connection::{FLAG_FIN, FLAG_RST, FLAG_SYN},
};
use nix::libc;

use crate::config;

/// What is left of a closed connection is a last acknowledgement, and the FIN again if that was lost:
/// after 0.2 s, and then each time after twice as long. Every packet renews this time, so the fifth
/// repetition still finds its way; and whoever opens connections all the time has its ports back soon.
const CLOSED: Duration = Duration::from_secs(10);
/// One side has said good-bye and the other one still sends: a download at most, which does not pause
/// for longer.
const CLOSING: Duration = Duration::from_hours(1);
/// A direction is written a moment after the other one, and removed so.
const STRAY: Duration = Duration::from_secs(5);

/// After how long that nobody uses is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A TCP connection.
    pub tcp: Duration,
    /// One that was not answered yet, or is over.
    pub tcp_brief: Duration,
    /// What has no connections of its own, as UDP.
    pub other: Duration,
}

impl From<&config::Services> for Timeouts {
    fn from(services: &config::Services) -> Self {
        Self {
            tcp: services.tcp_timeout(true),
            tcp_brief: services.tcp_timeout(false),
            other: Duration::from_secs(services.udp_seconds.into()),
        }
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP's beginning was not answered yet.
    Syn,
    /// Both sides of TCP have begun, and none has ended.
    Established,
    /// One side has ended.
    Closing,
    /// Both sides have, or one has broken it off.
    Closed,
    /// Of another protocol: only the client has sent.
    Unreplied,
    /// Both sides have.
    Replied,
}

impl State {
    /// The name that tables and JSON show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Unreplied => "unreplied",
            Self::Replied => "replied",
        }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What its client sends, as it leaves the client.
    pub key: FlowKey,
    /// The way to the backend.
    pub forward: Connection,
    /// The way back.
    pub back: Connection,
}

impl Pair {
    /// How far it has come.
    #[must_use]
    pub const fn state(&self) -> State {
        let Self { key: _, forward, back } = self;
        if !self.is_tcp() {
            return if back.seen == 0 { State::Unreplied } else { State::Replied };
        }
        let (both, any) = (forward.flags & back.flags, forward.flags | back.flags);
        if both & FLAG_FIN != 0 || any & FLAG_RST != 0 {
            State::Closed
        } else if any & FLAG_FIN != 0 {
            State::Closing
        } else if both & FLAG_SYN != 0 {
            State::Established
        } else {
            State::Syn
        }
    }

    /// How long ago a packet came by last, in any direction. `now` is of the programs' clock.
    #[must_use]
    pub fn idle(&self, now: Duration) -> Duration {
        idle(self.forward.seen.max(self.back.seen), now)
    }

    /// How long it will be remembered if no packet comes by. Nothing: it is over.
    #[must_use]
    pub fn expires(&self, now: Duration, timeouts: &Timeouts) -> Option<Duration> {
        let Timeouts { tcp, tcp_brief, other } = *timeouts;
        let timeout = match self.state() {
            State::Syn => tcp_brief,
            State::Established => tcp,
            State::Closing => tcp.min(CLOSING),
            State::Closed => tcp_brief.min(CLOSED),
            State::Unreplied | State::Replied => other,
        };
        timeout.checked_sub(self.idle(now)).filter(|left| !left.is_zero())
    }

    const fn is_tcp(&self) -> bool {
        self.key.protocol == libc::IPPROTO_TCP.cast_unsigned()
    }
}

/// Whether a direction whose other one is missing is no use to anybody.
#[must_use]
pub fn is_stray(alone: &Connection, now: Duration) -> bool {
    idle(alone.seen, now) > STRAY
}

const fn idle(seen: u64, now: Duration) -> Duration {
    now.saturating_sub(Duration::from_nanos(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);
    const TIMEOUTS: Timeouts = Timeouts {
        tcp: Duration::from_hours(6),
        tcp_brief: Duration::from_mins(1),
        other: Duration::from_mins(2),
    };
    const NONE: u32 = 0;
    const OPEN: u32 = FLAG_SYN;
    const END: u32 = FLAG_SYN | FLAG_FIN;
    const BROKEN: u32 = FLAG_SYN | FLAG_RST;

    /// A direction that was seen so many seconds ago.
    fn seen(flags: u32, seconds: u64) -> Connection {
        let seen = (NOW.as_secs() - seconds) * 1_000_000_000;
        Connection { flags, seen, ..Connection::default() }
    }

    fn pair(protocol: u32, forward: Connection, back: Connection) -> Pair {
        Pair { key: FlowKey { protocol, ..FlowKey::default() }, forward, back }
    }

    #[test]
    fn tcp_is_remembered_by_its_state() {
        for (forward, back, state, seconds) in [
            (OPEN, NONE, State::Syn, 60),
            (NONE, OPEN, State::Syn, 60),
            (NONE, NONE, State::Syn, 60),
            (OPEN, OPEN, State::Established, 21_600),
            (END, OPEN, State::Closing, 3600),
            (OPEN, END, State::Closing, 3600),
            (END, NONE, State::Closing, 3600),
            (END, END, State::Closed, 10),
            (BROKEN, OPEN, State::Closed, 10),
            (OPEN, BROKEN, State::Closed, 10),
            (OPEN, FLAG_RST, State::Closed, 10),
        ] {
            let left = |idle| {
                let pair = pair(6, seen(forward, idle), seen(back, idle));
                assert_eq!(pair.state(), state, "{forward} {back}");
                pair.expires(NOW, &TIMEOUTS).map(|left| left.as_secs())
            };
            assert_eq!(left(0), Some(seconds), "{state:?}");
            assert_eq!(left(seconds - 1), Some(1), "{state:?}");
            assert_eq!(left(seconds), None, "{state:?}");
        }
    }

    #[test]
    fn short_timeouts_hold_for_what_is_over_as_well() {
        let short = Timeouts {
            tcp: Duration::from_secs(20),
            tcp_brief: Duration::from_secs(2),
            other: Duration::from_secs(1),
        };
        for (flags, seconds) in [(OPEN, 20), (END, 2), (BROKEN, 2)] {
            let pair = pair(6, seen(flags, 0), seen(flags, 0));
            assert_eq!(pair.expires(NOW, &short), Some(Duration::from_secs(seconds)));
        }
        let closing = pair(6, seen(END, 0), seen(OPEN, 0));
        assert_eq!(closing.expires(NOW, &short), Some(short.tcp));
    }

    #[test]
    fn either_direction_renews() {
        for protocol in [6, 17, 132] {
            for (forward, back) in [(0, 100_000), (100_000, 0)] {
                let pair = pair(protocol, seen(OPEN, forward), seen(OPEN, back));
                assert!(pair.expires(NOW, &TIMEOUTS).is_some(), "{protocol} {forward} {back}");
                assert_eq!(pair.idle(NOW), Duration::ZERO);
            }
        }
    }

    #[test]
    fn other_protocols_have_one_time() {
        for protocol in [17, 132] {
            let never = Connection::default();
            let unreplied = pair(protocol, seen(NONE, 119), never);
            assert_eq!(unreplied.state(), State::Unreplied);
            assert_eq!(unreplied.expires(NOW, &TIMEOUTS), Some(Duration::from_secs(1)));
            let replied = pair(protocol, seen(NONE, 200), seen(NONE, 120));
            assert_eq!(replied.state(), State::Replied);
            assert_eq!(replied.expires(NOW, &TIMEOUTS), None);
        }
    }

    #[test]
    fn a_direction_alone_is_given_a_moment() {
        assert!(!is_stray(&seen(OPEN, 5), NOW));
        assert!(is_stray(&seen(OPEN, 6), NOW));
        assert!(is_stray(&Connection::default(), NOW));
    }

    #[test]
    fn clocks_of_processors_differ() {
        let ahead = Connection { seen: u64::MAX, flags: OPEN, ..Connection::default() };
        let pair = pair(6, ahead, seen(OPEN, 0));
        assert_eq!(pair.expires(NOW, &TIMEOUTS), Some(TIMEOUTS.tcp));
    }
}
