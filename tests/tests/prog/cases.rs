//! The tables.

mod egress;
mod exclusive;
mod flow;
mod ingress;
mod layer3;
mod macvlan;
mod neighbour;
mod policy_route;
mod service;
mod speaker;
mod wire;

use netpath_common::{Hook, MARK_REDIRECTED, Mac, endpoint::DEVICE_MAC};
use netpath_tests::program::{Arrival, Outcome, Return, oracle};

use crate::world::{Case, ENTRY_MAC, Family, World, families};

/// Every case, in both families; by the programs that know of no Services, those that are not about them.
pub(crate) fn all(world: &World) -> Vec<Case> {
    let mut cases = of(world, true);
    cases.extend(of(world, false));
    cases
}

fn of(world: &World, packets: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for family in families() {
        for (group, rows) in [
            ("egress", egress::rows(&family)),
            ("ingress", ingress::rows(&family)),
            ("neighbour", neighbour::rows(&family)),
            ("macvlan", macvlan::rows(&family)),
            ("policy_route", policy_route::rows(&family)),
            ("layer3", layer3::rows(&family)),
            ("exclusive", exclusive::rows(&family)),
            ("flow", flow::rows(&family)),
            ("service", service::rows(&family)),
            ("xdp", wire::rows(&family)),
        ] {
            if group == "service" && !packets {
                continue;
            }
            cases.extend(rows.into_iter().map(|row| row.into_case(world, &family, group, packets)));
        }
    }
    cases
}

/// A row in the making: how a frame arrives, and what comes of it.
pub(crate) struct Row {
    name: &'static str,
    hook: Hook,
    parent: usize,
    forwarded: bool,
    by_pod: bool,
    mark: u32,
    frame: Vec<u8>,
    result: Return,
    after: Option<Vec<u8>>,
    mark_after: u32,
    moves: Vec<&'static str>,
}

impl Row {
    /// A frame that a hook of parent 0 passes.
    pub(crate) const fn new(hook: Hook, name: &'static str, frame: Vec<u8>) -> Self {
        Self {
            name,
            hook,
            parent: 0,
            forwarded: false,
            by_pod: false,
            mark: 0,
            frame,
            result: Return::Pass,
            after: None,
            mark_after: 0,
            moves: Vec::new(),
        }
    }

    /// On parent 1, or device 1.
    pub(crate) const fn on_second(mut self) -> Self {
        self.parent = 1;
        self
    }

    /// Forwarded by the host stack.
    pub(crate) const fn forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    /// Sent by a socket of the namespace of endpoints a to d.
    pub(crate) const fn by_pod(mut self) -> Self {
        self.by_pod = true;
        self
    }

    /// With a mark, which a program that lets it pass or drops it leaves.
    pub(crate) const fn marked(mut self, mark: u32) -> Self {
        self.mark = mark;
        self.mark_after = mark;
        self
    }

    /// With the mark taken off.
    pub(crate) const fn unmarked(mut self) -> Self {
        self.mark_after = 0;
        self
    }

    /// Dropped.
    pub(crate) const fn dropped(mut self) -> Self {
        self.result = Return::Drop;
        self
    }

    /// Received by the parent with this Ethernet address.
    pub(crate) fn received(mut self, mac: Mac) -> Self {
        self.result = Return::Redirect;
        self.after = Some(oracle::addressed(self.now(), mac, mac));
        self.mark_after = MARK_REDIRECTED;
        self
    }

    /// Redirected to an endpoint by its device, with a mark for its egress or without.
    pub(crate) fn by_device(mut self, mac: Mac, mark: u32) -> Self {
        self.result = Return::Redirect;
        self.after = Some(oracle::addressed(self.now(), mac, DEVICE_MAC));
        self.mark_after = mark;
        self
    }

    /// Turned into this frame, which the parent sends.
    pub(crate) fn replied(mut self, frame: Vec<u8>) -> Self {
        self.result = Return::Redirect;
        self.after = Some(frame);
        self
    }

    /// Received by the kernel entry.
    pub(crate) fn entered(mut self) -> Self {
        let source = Mac::new(self.frame[6..12].try_into().expect("six bytes"));
        self.result = Return::Redirect;
        self.after = Some(oracle::addressed(self.now(), ENTRY_MAC, source));
        self.mark_after = 0;
        self
    }

    /// Turned into this frame, before anything else is done with it.
    pub(crate) fn becoming(mut self, frame: Vec<u8>) -> Self {
        self.after = Some(frame);
        self
    }

    /// Turned into this frame, which the parent receives.
    pub(crate) fn answered(mut self, frame: Vec<u8>) -> Self {
        self.result = Return::Redirect;
        self.after = Some(frame);
        self.mark_after = MARK_REDIRECTED;
        self
    }

    /// The frame as far as it has been changed.
    fn now(&self) -> &[u8] {
        self.after.as_ref().unwrap_or(&self.frame)
    }

    /// Redirected as it is.
    pub(crate) const fn redirected(mut self) -> Self {
        self.result = Return::Redirect;
        self
    }

    /// Sent by a parent as the host's routes say, but those to endpoints.
    pub(crate) const fn sent_by_parent(self) -> Self {
        let mut row = self.redirected();
        row.mark_after = MARK_REDIRECTED;
        row
    }

    /// Counted here, and nowhere else.
    pub(crate) fn moves(mut self, moves: &[&'static str]) -> Self {
        self.moves = moves.to_vec();
        self
    }

    fn into_case(self, world: &World, family: &Family, group: &str, packets: bool) -> Case {
        let Self {
            name,
            hook,
            parent,
            forwarded,
            by_pod,
            mark,
            frame,
            result,
            after,
            mark_after,
            moves,
        } = self;
        let room = &world.kernel.room;
        let namespace = if by_pod { room.pod.number } else { room.node.number };
        let after = after.unwrap_or_else(|| frame.clone());
        let ifindex = match hook {
            Hook::FromEndpoint | Hook::ToEndpoint => world.devices[parent],
            Hook::Egress | Hook::Ingress | Hook::Xdp | Hook::Loopback => world.parents[parent],
        };
        let set = if packets { "" } else { "plain::" };
        Case {
            name: format!("{set}{group}::{}::{}", family.name, name.replace(' ', "_")),
            packets,
            arrival: Arrival { hook, ifindex, forwarded, namespace, mark, frame },
            outcome: Outcome { result, frame: after, mark: mark_after },
            moves: moves.into_iter().map(ToOwned::to_owned).collect(),
        }
    }
}
