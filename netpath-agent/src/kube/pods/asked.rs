//! What a pod asks for, of what the cluster says of it.

use kube::{ResourceExt, core::SelectorExt as _};

use super::{Said, said};
use crate::{
    kube::types::{Invalid, Network, Wiring, Wishes},
    name::InterfaceName,
    pod::PodRoute,
};

/// Why it can not be told what a pod asks for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// An annotation makes no sense.
    #[error(transparent)]
    Annotation(#[from] Box<Invalid>),
    /// A network that the cluster has not.
    #[error("Network {name} is not there; choose one of {known}, or make it")]
    NoNetwork {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A network that makes no sense.
    #[error("Network {name}: {invalid}")]
    Network {
        /// Its name.
        name: String,
        /// What is wrong with it.
        invalid: Box<Invalid>,
    },
    /// A network of other namespaces.
    #[error(
        "Network {network} is not for pods of namespace {namespace}; choose another, or see its namespaceSelector"
    )]
    NotForNamespace {
        /// The network.
        network: String,
        /// The pod's namespace.
        namespace: String,
    },
}

/// What a pod asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// By its annotations; nothing for another interface than the first.
    pub wishes: Wishes,
    /// The network, by name; none: as the CNI configuration says.
    pub network: Option<(String, Wiring)>,
}

impl Said {
    /// What the pod asks for on an interface. `network` is the one that the CNI configuration names.
    pub fn asked(&self, interface: &InterfaceName, network: Option<&str>) -> Result<Asked, Error> {
        let is_first = said::is_first(interface);
        let wishes = if is_first {
            Wishes::read(&self.annotations).map_err(Box::new)?
        } else {
            Wishes::default()
        };
        let named = wishes.network.as_deref().or(network);
        let found = match named {
            Some(name) => Some(self.network(name)?),
            None if is_first => self.networks.iter().find(|network| network.spec.default),
            None => None,
        };
        let network = found.map(|network| self.wiring(network)).transpose()?;
        Ok(Asked { wishes, network })
    }

    fn network(&self, name: &str) -> Result<&Network, Error> {
        self.networks.iter().find(|network| network.name_any() == name).ok_or_else(|| {
            let known: Vec<_> = self.networks.iter().map(ResourceExt::name_any).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::NoNetwork { name: name.to_owned(), known }
        })
    }

    fn wiring(&self, network: &Network) -> Result<(String, Wiring), Error> {
        let name = network.name_any();
        let wiring = Wiring::try_from(network)
            .map_err(|invalid| Error::Network { name: name.clone(), invalid: Box::new(invalid) })?;
        if !wiring.namespaces.matches(&self.namespace) {
            let namespace = self.pod.namespace.clone();
            return Err(Error::NotForNamespace { network: name, namespace });
        }
        Ok((name, wiring))
    }
}

impl Asked {
    /// The pools that it names, in order of preference.
    #[must_use]
    pub fn pools(&self) -> &[String] {
        match &self.network {
            Some((_, wiring)) if self.wishes.pools.is_empty() => &wiring.pools,
            _ => &self.wishes.pools,
        }
    }

    /// More routes, beside those of the CNI configuration. Of two to one destination with one metric the
    /// one closer to the pod holds.
    #[must_use]
    pub fn routes(&self, configured: &[PodRoute]) -> Vec<PodRoute> {
        let of_network = self.network.iter().flat_map(|(_, wiring)| &wiring.routes);
        let all = configured.iter().chain(of_network).chain(&self.wishes.routes);
        let mut routes: Vec<PodRoute> = Vec::new();
        for route in all {
            routes
                .retain(|it| (it.destination, it.priority) != (route.destination, route.priority));
            routes.push(route.clone());
        }
        routes
    }
}
