//! ADD: attach a container.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Call, Error, Verb, complain,
    config::{self, Settings, invalid, shorten},
    environment::Attachment,
    ipam::Ipam,
    netns::{Found, look},
    result::Answer,
};
use crate::{
    api::client,
    error::chain,
    name::InterfaceName,
    pod::{Addressing, GivenAddress, Pod, PodRoute, PodSpec},
};

impl Call {
    pub(super) async fn add(&self, attachment: &Attachment) -> Result<Value, Error> {
        let settings: Settings = config::read(&self.input)?;
        settings.check()?;
        let netns = namespace(attachment)?;
        let mut spec = self.spec(&settings, attachment, netns)?;
        let mut answer = settings.prev_result.unwrap_or_default();
        let Some(ipam) = &self.ipam else {
            let pod = self.agent.add(&spec).await?;
            return self.report(answer, &pod, settings.dns);
        };
        let chosen = ipam.add(&self.input)?;
        let result = match place(&mut spec, &chosen) {
            Ok(()) => self.agent.add(&spec).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(pod) => {
                if answer.dns.is_empty() {
                    answer.dns = chosen.dns;
                }
                self.report(answer, &pod, settings.dns)
            }
            Err(error) => {
                self.give_back(ipam, &error);
                Err(error)
            }
        }
    }

    /// What the agent is asked for, addresses of the agent's choice.
    fn spec(
        &self,
        settings: &Settings,
        attachment: &Attachment,
        netns: PathBuf,
    ) -> Result<PodSpec, Error> {
        let pod = attachment.arguments.pod.clone();
        let primary = attachment.interface == InterfaceName::ETH0;
        let owner = match (&pod, settings.fixed_owner) {
            (_, false) => None,
            (Some(pod), true) if primary => Some(pod.to_string()),
            // Its other interfaces may be of the same pool.
            (Some(pod), true) => Some(format!("{pod}/{}", attachment.interface)),
            (None, true) => {
                let problem = "fixedOwner needs K8S_POD_NAMESPACE and K8S_POD_NAME".to_owned();
                return Err(Error::Environment { variable: "CNI_ARGS", problem });
            }
        };
        let mut requested = settings.runtime_config.addresses()?;
        if requested.is_empty() {
            requested.clone_from(&attachment.arguments.addresses);
        }
        let bandwidth = settings.runtime_config.bandwidth;
        if bandwidth.is_some() {
            complain("bandwidth is recorded, but not enforced yet");
        }
        Ok(PodSpec {
            id: attachment.id(&self.network.name),
            netns,
            pod,
            network: settings.network.clone(),
            parent: settings.parent.clone(),
            attachment: settings.attachment,
            table: settings.table,
            mtu: settings.mtu,
            addressing: Addressing::Pools { pools: settings.pools.clone(), owner, requested },
            default_route: settings.default_route.unwrap_or(primary),
            routes: settings.routes()?,
            bandwidth,
        })
    }

    fn report(
        &self,
        mut answer: Answer,
        pod: &Pod,
        dns: Option<serde_json::Map<String, Value>>,
    ) -> Result<Value, Error> {
        for note in &pod.notes {
            complain(note);
        }
        answer.add(pod);
        if let Some(dns) = dns {
            answer.dns = dns;
        }
        answer.write(self.version).map_err(|error| Error::Agent(error.into()))
    }

    /// Gives the addresses back that will not be used. Where it is not known what the agent did,
    /// they may be in use: they stay until the runtime removes what it failed to add.
    fn give_back(&self, ipam: &Ipam, error: &Error) {
        if matches!(error, Error::Silent { .. } | Error::Agent(client::Error::Broken(_))) {
            return;
        }
        if let Err(error) = ipam.run(Verb::Del, &self.input) {
            complain(&format!("addresses could not be given back: {}", chain(&error)));
        }
    }
}

/// The container's namespace, which must be one.
fn namespace(attachment: &Attachment) -> Result<PathBuf, Error> {
    // The environment has it for every addition.
    let path = attachment.netns.as_deref().unwrap_or(Path::new(""));
    let name = shorten(&path.to_string_lossy());
    let problem = match look(path)? {
        Found::Namespace => return Ok(path.to_owned()),
        Found::Nothing => {
            let container = shorten(&attachment.container);
            let problem = format!("CNI_NETNS {name} does not exist");
            return Err(Error::NoContainer { container, problem });
        }
        Found::Own => format!("{name} is the node's own network namespace; give the container's"),
        Found::Other => format!("{name} is no network namespace"),
    };
    Err(Error::Environment { variable: "CNI_NETNS", problem })
}

/// Puts what an IPAM plugin chose into the request.
fn place(spec: &mut PodSpec, chosen: &Answer) -> Result<(), Error> {
    if chosen.ips.is_empty() {
        return Err(invalid("ipam", "the IPAM plugin gave no address"));
    }
    let addresses: Vec<_> = chosen
        .ips
        .iter()
        .map(|ip| GivenAddress { address: ip.address, gateway: ip.gateway })
        .collect();
    let routes = chosen.routes.iter().map(PodRoute::from);
    let implied = |route: &PodRoute| spec.default_route && is_implied(route, &addresses);
    let routes: Vec<_> = routes.filter(|route| !implied(route)).collect();
    spec.routes.extend(routes);
    spec.addressing = Addressing::Given { addresses };
    Ok(())
}

/// Whether a route is the default one that the gateways make anyway.
fn is_implied(route: &PodRoute, addresses: &[GivenAddress]) -> bool {
    let PodRoute { destination, gateway, mtu, priority } = *route;
    let mut gateways = addresses
        .iter()
        .filter(|given| given.address.addr().is_ipv4() == destination.addr().is_ipv4())
        .filter_map(|given| given.gateway);
    destination.prefix_len() == 0
        && mtu.is_none()
        && priority.is_none()
        && gateways.next().is_some_and(|own| gateway.is_none_or(|gateway| gateway == own))
}
