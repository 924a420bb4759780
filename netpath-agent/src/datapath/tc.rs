//! TC hooks: tcx links where the kernel has them, clsact filters where not.

use std::{io, path::Path};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, PinnedLink},
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
};
use netpath_common::Hook;

use super::{AttachError, Error, attach::HookStatus, load, pins::Pins, query};
use crate::config::Attach;

/// What marks a filter as ours: its priority among the qdisc's filters, and its handle ("np").
pub(super) const PRIORITY: u16 = 0x6e70;
pub(super) const HANDLE: u16 = 0x6e70;

/// A hook, and the direction of an interface that it is at.
pub(super) type Place = (Hook, TcAttachType);

/// Of a parent.
pub(super) const PARENT: [Place; 2] =
    [(Hook::Egress, TcAttachType::Egress), (Hook::Ingress, TcAttachType::Ingress)];

/// Of an endpoint's own device.
pub(super) const DEVICE: [Place; 2] =
    [(Hook::ToEndpoint, TcAttachType::Egress), (Hook::FromEndpoint, TcAttachType::Ingress)];

/// Of the loopback device.
pub(super) const LOOPBACK: [Place; 1] = [(Hook::Loopback, TcAttachType::Ingress)];

/// Which programs, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// The generation of hooks.
    pub(super) policy: Attach,
    /// Those that translate packets for Services.
    pub(super) packets: bool,
}

/// An interface to attach to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface<'a> {
    pub(super) ifindex: u32,
    pub(super) name: &'a str,
}

/// What came of attaching programs.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) hooks: Vec<HookStatus>,
    /// The hooks that had no program of ours.
    pub(super) empty: Vec<Hook>,
    /// Whether a clsact qdisc was added.
    pub(super) qdisc: bool,
}

/// Attaches the programs of an interface.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Pins,
    How { policy, packets }: How,
    spec: Interface<'_>,
    places: &[Place],
) -> Result<Attached, Error> {
    let mut attached = Attached::default();
    let Attached { hooks, empty, qdisc } = &mut attached;
    for &(hook, attach_type) in places {
        let program = load::classifier(ebpf, load::program(hook, packets))?;
        let pin = pins.link(spec.ifindex, hook);
        let error =
            |source| Error::Attach { parent: spec.name.to_owned(), hook: hook.name(), source };
        if policy != Attach::Netlink {
            match tcx(program, &pin, spec, attach_type) {
                Ok((link, anew)) => {
                    // A predecessor may have used filters.
                    remove_filter(spec.name, attach_type).map_err(error)?;
                    hooks.push(status(program, hook, "tcx", Some(link)).map_err(error)?);
                    empty.extend(anew.then_some(hook));
                    continue;
                }
                Err(source) if policy == Attach::Tcx || !is_unsupported(&source) => {
                    return Err(error(source));
                }
                Err(_) => {}
            }
        }
        *qdisc |= add_qdisc(spec.name)?;
        let anew = filter(program, spec, attach_type).map_err(error)?;
        // A predecessor may have used links.
        unpin(&pin)?;
        hooks.push(status(program, hook, "clsact", None).map_err(error)?);
        empty.extend(anew.then_some(hook));
    }
    Ok(attached)
}

/// Whether a tcx hook still runs the program, and will after this process.
pub(super) fn is_linked(pins: &Pins, ifindex: u32, status: &HookStatus) -> bool {
    pins.link(ifindex, status.hook).exists()
        && query::tcx(ifindex, status.hook).is_ok_and(|running| running.contains(&status.program))
}

/// Detaches the programs of a parent, or of the loopback device.
pub(super) fn detach(pins: &Pins, ifindex: u32) -> Result<(), Error> {
    let name = nix::net::if_::if_indextoname(ifindex).ok();
    for (hook, attach_type) in PARENT.into_iter().chain(LOOPBACK) {
        unpin(&pins.link(ifindex, hook))?;
        if let Some(parent) = name.as_ref().and_then(|name| name.to_str().ok()) {
            remove_filter(parent, attach_type).map_err(|source| Error::Attach {
                parent: parent.to_owned(),
                hook: hook.name(),
                source,
            })?;
        }
    }
    Ok(())
}

fn status(
    program: &SchedClassifier,
    hook: Hook,
    kind: &'static str,
    link: Option<u32>,
) -> Result<HookStatus, AttachError> {
    Ok(HookStatus { hook, kind, program: program.info()?.id(), link })
}

/// Updates the pinned link, or attaches anew: the link of a device that went away and came back
/// under its old index is dead. Ahead of others: their verdict must not hide packets from ours.
/// The link's number, and whether it is a new one.
fn tcx(
    program: &mut SchedClassifier,
    pin: &Path,
    spec: Interface<'_>,
    attach_type: TcAttachType,
) -> Result<(u32, bool), AttachError> {
    if let Ok(pinned) = PinnedLink::from_pin(pin) {
        match update(program, pinned) {
            Ok(number) => return Ok((number, false)),
            Err(source) => {
                tracing::debug!(parent = spec.name, %source, "the pinned link is dead");
                std::fs::remove_file(pin)?;
            }
        }
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(spec.name, attach_type, order)?;
    let link = FdLink::try_from(program.take_link(id)?)?;
    let number = link.info()?.id();
    link.pin(pin)?;
    Ok((number, true))
}

/// Gives a pinned link the new program in one step.
fn update(program: &mut SchedClassifier, pinned: PinnedLink) -> Result<u32, AttachError> {
    let id = program.attach_to_link(FdLink::from(pinned).try_into()?)?;
    Ok(FdLink::try_from(program.take_link(id)?)?.info()?.id())
}

/// Whether the kernel has no tcx: it does not know the attach type.
fn is_unsupported(error: &AttachError) -> bool {
    matches!(error, AttachError::Program(ProgramError::SyscallError(error))
        if error.io_error.raw_os_error() == Some(nix::libc::EINVAL))
}

/// Whether a clsact qdisc had to be added.
fn add_qdisc(parent: &str) -> Result<bool, Error> {
    match tc::qdisc_add_clsact(parent) {
        Ok(()) => Ok(true),
        Err(error) if errno(&error) == Some(nix::libc::EEXIST) => Ok(false),
        Err(source) => Err(Error::Qdisc { parent: parent.to_owned(), source }),
    }
}

/// Replaces our filter in one step, or adds it; whether it was added.
fn filter(
    program: &mut SchedClassifier,
    spec: Interface<'_>,
    attach_type: TcAttachType,
) -> Result<bool, AttachError> {
    let existing = our_filter(spec.name, attach_type)?;
    let (id, added) = match program.attach_to_link(existing) {
        Err(ProgramError::TcError(error)) if errno(&error) == Some(nix::libc::ENOENT) => {
            let options =
                NlOptions { priority: PRIORITY, handle: TcHandle::new(0, HANDLE), classid: None };
            let options = TcAttachOptions::Netlink(options);
            (program.attach_with_options(spec.name, attach_type, options)?, true)
        }
        result => (result?, false),
    };
    // The kernel holds the filter; aya would remove it when the link is dropped.
    std::mem::forget(program.take_link(id)?);
    Ok(added)
}

/// Our filter, whether it is there or not.
fn our_filter(parent: &str, attach_type: TcAttachType) -> io::Result<SchedClassifierLink> {
    let handle = TcHandle::new(0, HANDLE);
    SchedClassifierLink::attached(parent, attach_type, PRIORITY, handle, None)
}

/// Removes our filter, if it is there.
fn remove_filter(parent: &str, attach_type: TcAttachType) -> Result<(), AttachError> {
    // A parent that is gone took its filters with it.
    let Ok(link) = our_filter(parent, attach_type) else { return Ok(()) };
    match aya::programs::Link::detach(link) {
        // No qdisc (EINVAL), or no such filter.
        Err(ProgramError::NetlinkError(error))
            if matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::EINVAL)) =>
        {
            Ok(())
        }
        result => Ok(result?),
    }
}

fn errno(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        _ => None,
    }
}

/// Removes the pin of a link, which detaches it.
pub(super) fn unpin(pin: &Path) -> Result<(), Error> {
    match std::fs::remove_file(pin) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pin { path: pin.to_owned(), source })
        }
        _ => Ok(()),
    }
}
