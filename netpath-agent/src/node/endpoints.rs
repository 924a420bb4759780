//! Endpoints as operators ask for them.

use super::{Error, Node, Shared, add, remove};
use crate::{
    api::types::{Added, Endpoint},
    endpoint::{EndpointSpec, Record},
    name::EndpointName,
};

/// Makes an endpoint.
pub(super) async fn add(node: &Shared, spec: &EndpointSpec) -> Result<Added<Endpoint>, Error> {
    let Added { created, item } = add::add(node, spec).await?;
    Ok(Added { created, item: node.lock().await.show(&item) })
}

/// Removes an endpoint.
pub(super) async fn remove(node: &Shared, name: &EndpointName) -> Result<Endpoint, Error> {
    let record = remove::remove(node, name).await?;
    Ok(node.lock().await.show(&record))
}

impl Node {
    /// All endpoints, by name.
    pub(super) fn list_endpoints(&self) -> Vec<Endpoint> {
        self.state.endpoints().map(|record| self.show(record)).collect()
    }

    fn show(&self, record: &Record) -> Endpoint {
        let parent = self.state.parents.get(&record.spec.parent);
        Endpoint {
            spec: EndpointSpec { attachment: Some(record.attachment), ..record.spec.clone() },
            mac: record
                .mac()
                .or(parent.and_then(|parent| parent.link.mac))
                .map(|mac| mac.to_string()),
            link_local: record.link_local,
        }
    }
}
