//! The hooks of endpoints' own devices.

use std::fs;

use netpath_common::Hook;

use super::{Datapath, Error, HookStatus, load, tc};

impl Datapath {
    /// Attaches the programs to an endpoint's device, and tells at which hooks there was none of ours.
    /// Its qdisc goes with it.
    pub fn attach_device(&mut self, ifindex: u32, name: &str) -> Result<Vec<Hook>, Error> {
        load::device(&mut self.ebpf, self.packets)?;
        let how = self.how();
        let interface = tc::Interface { ifindex, name };
        let tc::Attached { hooks, empty, qdisc: _ } =
            tc::attach(&mut self.ebpf, &self.pins, how, interface, &tc::DEVICE)?;
        let again = self.devices.insert(ifindex, hooks).is_some();
        Ok(if again { empty } else { Vec::new() })
    }

    /// The hooks of a device, if the programs were attached to it.
    #[must_use]
    pub fn device(&self, ifindex: u32) -> Option<&[HookStatus]> {
        self.devices.get(&ifindex).map(Vec::as_slice)
    }

    /// The hooks of a device whose link is gone.
    #[must_use]
    pub fn missing_device_links(&self, ifindex: u32) -> Vec<&'static str> {
        let hooks = self.devices.get(&ifindex).into_iter().flatten();
        let missing = hooks
            .filter(|status| status.link.is_some() && !tc::is_linked(&self.pins, ifindex, status));
        missing.map(|status| status.hook.name()).collect()
    }

    /// Forgets the devices that are no longer wanted. They took their hooks with them; pins of their
    /// links are left.
    pub fn forget_devices(&mut self, wanted: impl Fn(u32) -> bool) -> Result<(), Error> {
        self.devices.retain(|ifindex, _| wanted(*ifindex));
        for entry in fs::read_dir(self.pins.links()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let device = name.to_str().and_then(|name| {
                let (ifindex, hook) = name.split_once('-')?;
                let of_device = [Hook::FromEndpoint, Hook::ToEndpoint].map(Hook::name);
                of_device.contains(&hook).then(|| ifindex.parse().ok())?
            });
            if device.is_some_and(|ifindex| !wanted(ifindex)) {
                tc::unpin(&entry.path())?;
            }
        }
        Ok(())
    }
}
