//! The hook of the loopback device, which the tables know as one more parent: with the same life, and the
//! same clean-up.

use netpath_common::{Hook, Parent, parent::FLAG_QDISC};

use super::{Datapath, Error, Lost, ParentStatus, XdpStatus, load, tc};

/// The interface index of the loopback device, the same in every network namespace
/// (`LOOPBACK_IFINDEX` of `net/flow.h`).
pub const LOOPBACK: u32 = 1;
/// Its name.
const NAME: &str = "lo";

impl Datapath {
    /// Attaches the program to the loopback device, and tells what was lost of it.
    pub fn attach_loopback(&mut self) -> Result<Lost, Error> {
        load::classifiers(&mut self.ebpf, [Hook::Loopback], self.packets)?;
        let entry = self.parents.get(&LOOPBACK, 0).ok();
        let before = self.attached.get(&LOOPBACK).is_some_and(|status| status.added_qdisc);
        let before = before || entry.as_ref().is_some_and(Parent::added_qdisc);
        // Noted first: what follows is found, and removed, even if nothing comes of it.
        self.note_loopback(before)?;
        let how = self.how();
        let interface = tc::Interface { ifindex: LOOPBACK, name: NAME };
        let tc::Attached { hooks, empty, qdisc } =
            tc::attach(&mut self.ebpf, &self.pins, how, interface, &tc::LOOPBACK)?;
        let added_qdisc = before || qdisc;
        self.note_loopback(added_qdisc)?;
        let xdp = XdpStatus { mode: "off", reason: String::new(), program: None };
        let name = NAME.to_owned();
        let status = ParentStatus { ifindex: LOOPBACK, name, hooks, xdp, added_qdisc };
        let again = self.attached.insert(LOOPBACK, status).is_some();
        let lost = Lost { entry: entry.is_none(), hooks: empty };
        Ok(if again { lost } else { Lost::default() })
    }

    fn note_loopback(&mut self, qdisc: bool) -> Result<(), Error> {
        let flags = if qdisc { FLAG_QDISC } else { 0 };
        self.put_parent(LOOPBACK, &Parent { flags, ..Parent::default() })
    }
}
