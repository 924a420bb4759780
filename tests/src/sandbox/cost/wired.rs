//! A network whose pods are wired, ready to be measured.

use anyhow::{Context as _, Result, ensure};
use socket2::Type;
use tempfile::TempDir;

use super::{
    Exchange,
    echo::{self, PACKETS},
    network::Network,
    wiring::{Kind, Netpath, Wiring},
};
use crate::sandbox::{
    address::Family,
    agent::{self, Agent, Files, Programs},
    probe::Proto,
};

/// Of each round trip.
const MEASUREMENTS: usize = 6;

/// The network and, by netpath's wirings, the node's agent, which has nothing to do meanwhile.
#[derive(Debug)]
pub(super) struct Wired {
    agent: Option<Agent>,
    programs: Programs,
    network: Network,
    folder: TempDir,
}

impl Wired {
    /// Builds the network with the pods' interfaces.
    pub(super) fn make(programs: &Programs, wiring: &Wiring) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("netpath-cost-").tempdir();
        let mut wired = Self {
            agent: None,
            programs: programs.clone(),
            network: Network::build()?,
            folder: folder.context("make a folder for the agent's files")?,
        };
        match &wiring.kind {
            Kind::Children(kind) => wired.network.add_children(kind)?,
            Kind::Routed => wired.network.add_routed()?,
            Kind::Netpath(netpath) => wired.start(netpath)?,
        }
        Ok(wired)
    }

    fn start(&mut self, netpath: &Netpath) -> Result<()> {
        let Self { agent, programs, network, folder } = self;
        network.add_pod_routes()?;
        let unique = format!("{}agent", network.prefix);
        let files = Files::write(folder.path(), &unique, &netpath.settings())?;
        let agent = agent.insert(Agent::spawn(programs, &network.node, &files)?);
        agent.wait()?;
        network.pods.iter().try_for_each(|pod| agent.add_endpoint(pod))
    }

    /// Nanoseconds of a round trip: of several measurements the least, since both ends may be put to sleep
    /// and woken in a dearer order for a whole one. Of two, the least differs by 3 in 1,000 from run to run.
    pub(super) fn round_trip(
        &self,
        exchange: Exchange,
        proto: Proto,
        family: Family,
    ) -> Result<u32> {
        let costs = [(); MEASUREMENTS].map(|()| self.measure(exchange, proto, family));
        costs.into_iter().try_fold(u32::MAX, |least, cost| Ok(least.min(cost?)))
    }

    fn measure(&self, exchange: Exchange, proto: Proto, family: Family) -> Result<u32> {
        let Network { external, node, pods: [a, b], prefix: _ } = &self.network;
        let (from, to) = match exchange {
            Exchange::Loopback => (node, node),
            Exchange::ExternalHost => (external, node),
            Exchange::ExternalPod => (external, &a.place),
            Exchange::PodExternal => (&a.place, external),
            Exchange::HostPod => (node, &a.place),
            Exchange::PodPod => (&a.place, &b.place),
        };
        let kind = if proto == Proto::Tcp { Type::STREAM } else { Type::DGRAM };
        let address = to.address.of(family);
        let cost = || echo::round_trip(&from.namespace, &to.namespace, address, kind);
        match &self.agent {
            // All wirings have this one counted: it is not the cost of programs that did not run.
            Some(agent) if exchange == Exchange::PodExternal => {
                let before = counted(agent)?;
                let cost = cost()?;
                let packets = counted(agent)? - before;
                ensure!(packets >= PACKETS, "netpath counted {packets} of {PACKETS} packets");
                Ok(cost)
            }
            _ => cost(),
        }
    }
}

/// Packets that the programs have counted.
fn counted(agent: &Agent) -> Result<u64> {
    Ok(agent.counters()?.iter().map(|counter| counter.packets).sum())
}

impl Drop for Wired {
    fn drop(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        let files = agent.files.clone();
        drop(agent);
        // Pins outlive processes and namespaces.
        if let Err(error) = agent::cleanup(&self.programs, &self.network.node, &files) {
            eprintln!("netpath-sandbox: cleanup after {}: {error:#}", self.network.prefix);
        }
    }
}
