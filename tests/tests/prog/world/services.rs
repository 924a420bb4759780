//! The Services of the world: one backend each, so that nothing is left to chance.

use std::net::IpAddr;

use ipnet::IpNet;
use netpath_agent::service::{BackendKey, Entry};
use netpath_common::{
    Address, Attachment, Endpoint, ServiceKey,
    endpoint::{FLAG_CLUSTER, FLAG_SERVICE, NO_SLOT},
    route::TABLE_MAIN,
    service::{FLAG_EXTERNAL, FLAG_RANGES},
};
use netpath_tests::program::plain::Plain;

use super::Family;

/// Ports that may be node ports.
pub(crate) const NODE_PORTS: [u16; 2] = [30_000, 32_767];
/// Where all backends answer.
pub(crate) const BACKEND: u16 = 8_443;

/// Ports of `vip`, by who answers.
pub(crate) const TO_A: u16 = 801;
pub(crate) const TO_B: u16 = 802;
pub(crate) const TO_ELSEWHERE: u16 = 803;
pub(crate) const TO_NOBODY: u16 = 804;
pub(crate) const TO_HOST: u16 = 805;
pub(crate) const TO_P: u16 = 806;
pub(crate) const TO_Q: u16 = 807;
pub(crate) const TO_F: u16 = 808;
pub(crate) const TO_X: u16 = 809;
/// Of `external`, by whom it admits.
pub(crate) const FOR_ROUTED: u16 = 810;
/// Node ports.
pub(crate) const NODE_TO_B: u16 = 30_802;
pub(crate) const NODE_TO_ELSEWHERE: u16 = 30_803;

/// Puts them into the tables.
pub(super) fn put(plain: &mut Plain, family: &Family) {
    let Family { a, b, f, p, q, x, host, elsewhere, vip, external, routed, .. } = *family;
    for (address, cluster) in [(vip, FLAG_CLUSTER), (external, 0)] {
        let entry = Endpoint {
            slot: NO_SLOT,
            table: TABLE_MAIN,
            attachment: Attachment::Service as u8,
            flags: FLAG_SERVICE | cluster,
            ..Endpoint::default()
        };
        plain.endpoints.insert(address.into(), entry);
    }
    let answers = [
        (TO_A, Some(a)),
        (TO_B, Some(b)),
        (TO_ELSEWHERE, Some(elsewhere)),
        (TO_NOBODY, None),
        (TO_HOST, Some(host)),
        (TO_P, Some(p)),
        (TO_Q, Some(q)),
        (TO_F, Some(f)),
        (TO_X, Some(x)),
    ];
    for protocol in [6, 17] {
        for (port, backend) in answers {
            add(plain, ServiceKey::new(vip.into(), port.to_be(), protocol), 0, backend, &[]);
            let key = ServiceKey::new(external.into(), port.to_be(), protocol);
            add(plain, key, FLAG_EXTERNAL, backend, &[]);
        }
        for (port, backend) in [(NODE_TO_B, b), (NODE_TO_ELSEWHERE, elsewhere)] {
            let key = ServiceKey::any_of_node(&host.into(), port.to_be(), protocol);
            add(plain, key, FLAG_EXTERNAL, Some(backend), &[]);
        }
        let key = ServiceKey::new(external.into(), FOR_ROUTED.to_be(), protocol);
        add(plain, key, FLAG_EXTERNAL | FLAG_RANGES, Some(b), &[IpNet::from(routed)]);
    }
}

fn add(plain: &mut Plain, key: ServiceKey, flags: u32, backend: Option<IpAddr>, sources: &[IpNet]) {
    let backends: Vec<_> = backend
        .map(|address| BackendKey {
            address: Address::from(address),
            port: BACKEND.to_be(),
            protocol: key.protocol,
        })
        .into_iter()
        .collect();
    let id = 1 + u32::try_from(plain.services.len()).expect("few Services");
    let (inside, outside) = (backends.clone().into(), backends.into());
    let entry = Entry { id, affinity: 0, flags, inside, outside };
    plain.services.insert(key, (entry, sources.to_vec()));
}
