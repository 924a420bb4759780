//! CHECK: see whether a container is attached as the runtime believes.

use super::{
    Call, Error, Verb,
    config::{self, Previous, invalid},
    environment::Attachment,
    result::Answer,
};
use crate::pod::{GivenAddress, Pod, PodRoute};

impl Call {
    pub(super) async fn check(&self, attachment: &Attachment) -> Result<(), Error> {
        let previous: Previous = config::read(&self.input)?;
        let pod = self.believed(&previous, attachment)?;
        match self.agent.check(&pod).await {
            Ok(mismatches) if mismatches.is_empty() => {}
            Ok(mismatches) => return Err(Error::Mismatches(mismatches)),
            Err(error) if error.is_unknown() => {
                let problem = format!("netpath-agent does not know {}", pod.id);
                return Err(Error::NoContainer { container: pod.id.container, problem });
            }
            Err(error) => return Err(error),
        }
        if let Some(ipam) = &self.ipam {
            ipam.run(Verb::Check, &self.input)?;
        }
        Ok(())
    }

    /// The attachment by the runtime's result. Plugins after us may have added to it.
    fn believed(&self, previous: &Previous, attachment: &Attachment) -> Result<Pod, Error> {
        let Previous { prev_result, parent, mtu } = previous;
        let Answer { interfaces, ips, routes, .. } = prev_result
            .as_ref()
            .ok_or_else(|| invalid("prevResult", "is missing; CHECK compares with it"))?;
        let name = attachment.interface.as_str();
        let (index, interface) = interfaces
            .iter()
            .enumerate()
            .find(|(_, interface)| interface.name == name && !interface.sandbox.is_empty())
            .ok_or_else(|| {
                let problem = format!("has no interface {name} in a container");
                invalid("prevResult.interfaces", problem)
            })?;
        let addresses = ips
            .iter()
            .filter(|ip| ip.interface == Some(index))
            .map(|ip| GivenAddress { address: ip.address, gateway: ip.gateway })
            .collect();
        Ok(Pod {
            id: attachment.id(&self.network.name),
            netns: attachment.netns.clone().unwrap_or_default(),
            pod: attachment.arguments.pod.clone(),
            parent: parent.clone(),
            mac: interface.mac.clone(),
            mtu: interface.mtu.or(*mtu).unwrap_or_default(),
            addresses,
            routes: routes.iter().map(PodRoute::from).collect(),
            notes: Vec::new(),
        })
    }
}
