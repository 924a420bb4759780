//! The XDP hook: where it runs, and why there.

use std::path::Path;

use aya::{
    Ebpf,
    programs::{
        Xdp, XdpMode,
        links::{FdLink, PinnedLink},
    },
};
use netpath_common::Hook;

use super::{
    AttachError, Error,
    attach::{ParentSpec, XdpStatus},
    load,
    pins::Pins,
    tc,
};
use crate::{config, error::chain};

/// A mode and the reason for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) mode: &'static str,
    reason: &'static str,
    /// Off will do if the driver has no XDP.
    optional: bool,
}

/// Where XDP shall run on a parent.
pub(super) fn choose(spec: &ParentSpec) -> Choice {
    let choice = |mode, reason, optional| Choice { mode, reason, optional };
    match spec.xdp {
        config::Xdp::Off => choice("off", "as configured", false),
        config::Xdp::Native => choice("native", "as configured", false),
        config::Xdp::Generic => choice("generic", "as configured", false),
        config::Xdp::Auto if spec.veth => {
            choice("off", "auto: a veth copies every packet for native XDP", false)
        }
        config::Xdp::Auto => choice("native", "auto: the driver runs XDP itself", true),
    }
}

fn status(choice: Choice, program: Option<u32>) -> XdpStatus {
    XdpStatus { mode: choice.mode, reason: choice.reason.to_owned(), program }
}

/// Attaches the program as chosen.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Pins,
    spec: &ParentSpec,
    choice: Choice,
) -> Result<XdpStatus, Error> {
    let (mode, hook) = match choice.mode {
        "native" => (XdpMode::Driver, "native xdp"),
        "generic" => (XdpMode::Skb, "generic xdp"),
        _ => return Ok(status(choice, None)),
    };
    let program = load::xdp(ebpf)?;
    match create(program, &pins.link(spec.ifindex, Hook::Xdp), spec.ifindex, mode) {
        Ok(id) => Ok(status(choice, Some(id))),
        Err(source) if choice.optional => {
            let reason = format!("auto: the driver has no native XDP ({})", chain(&source));
            Ok(XdpStatus { mode: "off", reason, program: None })
        }
        Err(source) => Err(Error::Attach { parent: spec.name.clone(), hook, source }),
    }
}

fn create(program: &mut Xdp, pin: &Path, ifindex: u32, mode: XdpMode) -> Result<u32, AttachError> {
    let id = program.attach_to_if_index(ifindex, mode)?;
    // aya falls back to netlink, whose attachment would end with this process: no FdLink, an error.
    FdLink::try_from(program.take_link(id)?)?.pin(pin)?;
    Ok(program.info()?.id())
}

/// Gives the pinned link the new program, in one step. `None` if the link is dead.
pub(super) fn update(
    ebpf: &mut Ebpf,
    pins: &Pins,
    spec: &ParentSpec,
    choice: Choice,
) -> Result<Option<XdpStatus>, Error> {
    match replace(load::xdp(ebpf)?, &pins.link(spec.ifindex, Hook::Xdp)) {
        Ok(id) => Ok(Some(status(choice, Some(id)))),
        Err(source) => {
            tracing::debug!(parent = spec.name, %source, "the pinned link is dead");
            Ok(None)
        }
    }
}

fn replace(program: &mut Xdp, pin: &Path) -> Result<u32, AttachError> {
    let id = program.attach_to_link(FdLink::from(PinnedLink::from_pin(pin)?).try_into()?)?;
    // The pin keeps it attached.
    drop(FdLink::try_from(program.take_link(id)?)?);
    Ok(program.info()?.id())
}

/// Detaches the program.
pub(super) fn detach(pins: &Pins, ifindex: u32) -> Result<(), Error> {
    tc::unpin(&pins.link(ifindex, Hook::Xdp))
}
