//! Who may ask at an address that a load balancer leads here.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use serde_json::json;

use super::{PORT, Stage, asker, both};
use crate::sandbox::address::{Dual, Family, Subnet};

const BALANCER: Dual = Dual {
    v4: Ipv4Addr::new(203, 0, 113, 10),
    v6: Ipv6Addr::new(0xfd00, 0xb0, 0, 0, 0, 0, 0, 0xa),
};

pub(super) fn ranges(stage: &Stage) -> Result<()> {
    stage.lead(BALANCER)?;
    let endpoints = stage.endpoints(&["p1"])?;
    let apply = |subnet: Subnet| {
        let ranges = Family::BOTH.map(|family| subnet.prefix(family));
        let fields =
            [("load_balancer_ips", json!(both(BALANCER))), ("source_ranges", json!(ranges))];
        stage.apply(&endpoints.clone(), &fields)
    };
    apply(Subnet::REMOTE)?;
    stage.expect(stage.remote(), BALANCER, PORT, &["p1"])?;
    apply(Subnet::LINK)?;
    stage.expect_nobody(stage.remote(), (BALANCER, PORT), Some((0, "service-source")))?;
    // They are for the wire.
    stage.expect(asker(stage.pod("q1")?), BALANCER, PORT, &["p1"])
}
