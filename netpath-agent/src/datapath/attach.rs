//! The hooks of a parent.

use std::net::IpAddr;

use ipnet::IpNet;
use netpath_common::{
    Address, Hook, Mac, Parent,
    parent::{FLAG_DRIVER, FLAG_QDISC, FLAG_XDP_NATIVE, Prefix},
};

use super::{Datapath, Error, tc, xdp};
use crate::config::{Switching, Xdp};

/// A parent, as the programs need to know it.
#[derive(Clone, Debug)]
pub struct ParentSpec {
    /// Its interface index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Who switches between its children.
    pub switching: Switching,
    /// Where XDP shall run.
    pub xdp: Xdp,
    /// Whether it is a veth: native XDP costs more there than it can save.
    pub veth: bool,
    /// Subnets of its own table; at most [`SUBNETS`](netpath_common::parent::SUBNETS).
    pub subnets: Vec<IpNet>,
    /// Routers of its own table.
    pub routers: Vec<IpAddr>,
    /// The node's addresses that hide clients of Services, at most one a family.
    pub hiding: Vec<IpAddr>,
}

/// A TC hook with its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookStatus {
    /// Where.
    pub hook: Hook,
    /// How: `tcx` (a link, Linux 6.6) or `clsact` (a filter on that qdisc).
    pub kind: &'static str,
    /// The kernel's number of the program.
    pub program: u32,
    /// The kernel's number of the link; a clsact filter has none.
    pub link: Option<u32>,
}

/// A filter that should be on a parent's clsact qdisc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Where.
    pub hook: Hook,
    /// Its priority among the qdisc's filters.
    pub priority: u16,
    /// Its handle.
    pub handle: u16,
}

impl Filter {
    /// Ours at a hook.
    #[must_use]
    pub const fn of(hook: Hook) -> Self {
        Self { hook, priority: tc::PRIORITY, handle: tc::HANDLE }
    }
}

/// Where XDP runs, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpStatus {
    /// `off`, `native` or `generic`.
    pub mode: &'static str,
    /// Why.
    pub reason: String,
    /// The kernel's number of the program, unless off.
    pub program: Option<u32>,
}

/// A parent with its hooks.
#[derive(Clone, Debug)]
pub struct ParentStatus {
    /// Its interface index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its TC hooks.
    pub hooks: Vec<HookStatus>,
    /// Its XDP hook.
    pub xdp: XdpStatus,
    /// netpath added its clsact qdisc.
    pub added_qdisc: bool,
}

/// What this agent had given a parent before and did not find any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Its entry in the map.
    pub entry: bool,
    /// Hooks without their program.
    pub hooks: Vec<Hook>,
}

impl Datapath {
    /// Attaches the programs to a parent. Links that are pinned get the new programs in one step;
    /// hooks that someone removed come back. The parent's entry in the map comes first.
    pub fn attach(&mut self, spec: &ParentSpec) -> Result<Lost, Error> {
        let entry = self.parents.get(&spec.ifindex, 0).ok();
        let before = self.attached.get(&spec.ifindex);
        // Until XDP is attached, the programs assume what is attached now.
        let (native, qdisc) = match (&entry, before) {
            (Some(entry), _) => (entry.xdp_is_native(), entry.added_qdisc()),
            (None, Some(before)) => (before.xdp.mode == "native", before.added_qdisc),
            (None, None) => (false, false),
        };
        self.note(spec, native, qdisc)?;

        let how = self.how();
        let interface = tc::Interface { ifindex: spec.ifindex, name: &spec.name };
        let tc::Attached { hooks, mut empty, qdisc: added } =
            tc::attach(&mut self.ebpf, &self.pins, how, interface, &tc::PARENT)?;
        self.note(spec, native, qdisc || added)?;
        let wanted = xdp::choose(spec);
        let mut updated = None;
        if self.is_attached(spec, wanted.mode) {
            updated = xdp::update(&mut self.ebpf, &self.pins, spec, wanted)?;
        }
        let xdp = if let Some(xdp) = updated {
            xdp
        } else {
            // The new mode's program is not told that the old mode's frames are gone until the old
            // one is detached.
            xdp::detach(&self.pins, spec.ifindex)?;
            self.note(spec, false, qdisc || added)?;
            let xdp = xdp::attach(&mut self.ebpf, &self.pins, spec, wanted)?;
            empty.extend(xdp.program.map(|_| Hook::Xdp));
            xdp
        };
        self.note(spec, xdp.mode == "native", qdisc || added)?;
        let (ifindex, name) = (spec.ifindex, spec.name.clone());
        let status = ParentStatus { ifindex, name, hooks, xdp, added_qdisc: qdisc || added };
        let again = self.attached.insert(ifindex, status).is_some();
        let lost = Lost { entry: entry.is_none(), hooks: empty };
        Ok(if again { lost } else { Lost::default() })
    }

    /// Which programs are attached, and how.
    pub(super) const fn how(&self) -> tc::How {
        tc::How { policy: self.attach, packets: self.packets }
    }

    /// Detaches the programs from a parent and forgets it; tells whether netpath added its clsact
    /// qdisc, which is the caller's to remove. A parent that is gone took its hooks with it.
    pub fn detach(&mut self, ifindex: u32) -> Result<bool, Error> {
        let added = self.parents.get(&ifindex, 0).is_ok_and(|parent| parent.added_qdisc());
        xdp::detach(&self.pins, ifindex)?;
        tc::detach(&self.pins, ifindex)?;
        self.attached.remove(&ifindex);
        super::namespaces::absent(self.parents.remove(&ifindex)).map_err(Error::map("parents"))?;
        Ok(added)
    }

    /// Interface indexes of the parents that the programs were attached to, by this agent or by a
    /// predecessor.
    pub fn known_parents(&self) -> Result<Vec<u32>, Error> {
        self.parents.keys().collect::<Result<_, _>>().map_err(Error::map("parents"))
    }

    /// Whether the programs know a parent.
    #[must_use]
    pub fn knows_parent(&self, ifindex: u32) -> bool {
        self.parents.get(&ifindex, 0).is_ok()
    }

    /// The parents with their hooks.
    #[must_use]
    pub fn parents(&self) -> Vec<ParentStatus> {
        self.attached.values().cloned().collect()
    }

    /// The hooks of a parent whose link is gone: detached by somebody, or its pin removed.
    #[must_use]
    pub fn missing_links(&self, ifindex: u32) -> Vec<&'static str> {
        let Some(ParentStatus { hooks, xdp, .. }) = self.attached.get(&ifindex) else {
            return Vec::new();
        };
        let mut missing: Vec<_> = hooks
            .iter()
            .filter(|status| status.link.is_some())
            .filter(|status| !tc::is_linked(&self.pins, ifindex, status))
            .map(|status| status.hook.name())
            .collect();
        if xdp.program.is_some() && !self.pins.link(ifindex, Hook::Xdp).exists() {
            missing.push(Hook::Xdp.name());
        }
        missing
    }

    /// The filters that a parent should have.
    #[must_use]
    pub fn filters(&self, ifindex: u32) -> Vec<Filter> {
        let hooks = self.attached.get(&ifindex).into_iter().flat_map(|status| &status.hooks);
        hooks.filter(|status| status.link.is_none()).map(|status| Filter::of(status.hook)).collect()
    }

    /// Whether XDP runs in this mode already.
    fn is_attached(&self, spec: &ParentSpec, mode: &str) -> bool {
        let native = self.parents.get(&spec.ifindex, 0).is_ok_and(|parent| parent.xdp_is_native());
        self.pins.link(spec.ifindex, Hook::Xdp).exists()
            && match mode {
                "native" => native,
                "generic" => !native,
                _ => false,
            }
    }

    fn note(&mut self, spec: &ParentSpec, native: bool, qdisc: bool) -> Result<(), Error> {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let flags = flag(spec.switching == Switching::Driver, FLAG_DRIVER)
            | flag(native, FLAG_XDP_NATIVE)
            | flag(qdisc, FLAG_QDISC);
        let mut parent = Parent { mac: spec.mac, flags, ..Parent::default() };
        for (place, subnet) in parent.subnets.iter_mut().zip(&spec.subnets) {
            *place = Prefix::new(subnet.addr().into(), subnet.prefix_len());
        }
        for router in &spec.routers {
            parent.routers[usize::from(router.is_ipv6())] = Address::from(*router);
        }
        for own in &spec.hiding {
            parent.own[usize::from(own.is_ipv6())] = Address::from(*own);
        }
        self.put_parent(spec.ifindex, &parent)
    }
}
