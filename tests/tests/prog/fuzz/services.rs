//! Random Services, and what a program's random number must have been.

use netpath_agent::service::{BackendKey, Entry};
use netpath_common::{
    Address, Attachment, Endpoint, ServiceKey,
    endpoint::{FLAG_CLUSTER, FLAG_NODE_PORTS, FLAG_SERVICE, NO_SLOT},
    route::TABLE_MAIN,
    service::{FLAG_EXTERNAL, FLAG_RANGES},
};
use netpath_tests::program::{Arrival, Counters, Outcome, oracle, plain::Plain};

use super::Random;

/// What the oracle says. If the program sends in the place of a client, its random number is the one that
/// gives the port which it chose.
pub(super) fn expect(
    tables: &Plain,
    arrival: &Arrival,
    outcome: &Outcome,
    counters: &mut Counters,
) -> Outcome {
    let before = (tables.translated.borrow().clone(), counters.clone());
    let mut expected = oracle::expect(tables, arrival, counters);
    // Behind an IP header, however long.
    let ports = (34..140).step_by(2).filter_map(|at| outcome.frame.get(at..at + 2));
    let ports = ports.map(|port| u16::from_be_bytes([port[0], port[1]]));
    let guesses: Vec<u32> = ports
        .flat_map(|port| (0..8).filter_map(move |attempt| oracle::random_for(port, attempt)))
        .collect();
    for random in guesses {
        if expected == *outcome {
            break;
        }
        *tables.translated.borrow_mut() = before.0.clone();
        counters.clone_from(&before.1);
        expected = oracle::expect_with(tables, arrival, random, counters);
    }
    expected
}

impl Random {
    /// A Service of one backend or none, by an address of its own or by a port of the node.
    pub(super) fn service(&mut self, plain: &mut Plain) {
        let v4 = self.rng.bool();
        let address = Address::from(self.address(v4));
        let (port, protocol) = (self.pick(&[80_u16, 4_000, 30_000]).to_be(), self.pick(&[6, 17]));
        let known = plain.endpoints.get(&address).map(Endpoint::is_host);
        let (key, entry) = match known {
            Some(false) => return,
            Some(true) if self.rng.bool() => {
                (ServiceKey::any_of_node(&address, port, protocol), FLAG_NODE_PORTS)
            }
            _ => (ServiceKey::new(address, port, protocol), FLAG_SERVICE),
        };
        let service = Endpoint {
            slot: NO_SLOT,
            table: TABLE_MAIN,
            attachment: Attachment::Service as u8,
            ..Endpoint::default()
        };
        let cluster = if self.rng.bool() { FLAG_CLUSTER } else { 0 };
        plain.endpoints.entry(address).or_insert(service).flags |= entry | cluster;
        let answers = [0, 1, 1, 1][self.rng.usize(..4)];
        let backends: Vec<_> = (0..answers)
            .map(|_| BackendKey {
                address: self.address(v4).into(),
                port: self.pick(&[80_u16, 8_080]).to_be(),
                protocol: protocol.into(),
            })
            .collect();
        let flags = self.pick(&[0, FLAG_EXTERNAL, FLAG_EXTERNAL, FLAG_EXTERNAL | FLAG_RANGES]);
        let id = 1 + u32::try_from(plain.services.len()).unwrap_or(0);
        let sources =
            if flags & FLAG_RANGES != 0 { vec![self.address(v4).into()] } else { Vec::new() };
        let (inside, outside) = (backends.clone().into(), backends.into());
        let entry = Entry { id, affinity: 0, flags, inside, outside };
        plain.services.entry(key).or_insert((entry, sources));
    }
}
