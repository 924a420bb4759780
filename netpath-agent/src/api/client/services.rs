//! Questions about Services.

use serde_json::Value;

use super::{Client, Error};
use crate::{
    api::services::{Applied, PutEndpoints, Service, ServiceDetail},
    service::ServiceName,
};

impl Client {
    /// All Services.
    pub async fn services(&self) -> Result<Vec<Service>, Error> {
        self.get("/v1/services", &()).await
    }

    /// A Service and what it leads to.
    pub async fn service(&self, name: &ServiceName) -> Result<ServiceDetail, Error> {
        // Names are of characters that need no escaping.
        self.get(&format!("/v1/services/{name}"), &()).await
    }

    /// Creates or replaces the Services of a list.
    pub async fn apply_services(&self, list: &Value) -> Result<Vec<Applied>, Error> {
        self.post("/v1/services", list).await
    }

    /// Replaces the endpoints of a Service.
    pub async fn put_service_endpoints(&self, what: &PutEndpoints) -> Result<Applied, Error> {
        self.post("/v1/services/endpoints", what).await
    }

    /// Removes a Service.
    pub async fn remove_service(&self, name: &ServiceName) -> Result<Service, Error> {
        self.delete(&format!("/v1/services/{name}"), &()).await
    }
}
