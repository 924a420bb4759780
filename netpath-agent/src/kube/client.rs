//! The way to the API server.

use std::time::Duration;

use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{Error, watch};
use crate::config;

/// How long it may take to be heard at all.
const CONNECT: Duration = Duration::from_secs(5);

/// A client of the cluster that the configuration names. Nobody is asked yet.
pub async fn client(config: &config::Kubernetes) -> Result<Client, Error> {
    let mut settings = match &config.kubeconfig {
        Some(file) => {
            let failed =
                |source| Error::Kubeconfig { file: file.clone(), source: Box::new(source) };
            let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?
        }
        None => kube::Config::incluster()?,
    };
    // The configuration was checked.
    if let Some(server) = config.server.as_ref().and_then(|server| server.parse().ok()) {
        settings.cluster_url = server;
    }
    // Without TLS nobody's certificates are asked for, and an image from scratch has none.
    if settings.cluster_url.scheme_str() == Some("http") {
        settings.root_cert.get_or_insert_default();
    }
    settings.connect_timeout = Some(CONNECT);
    settings.read_timeout = Some(watch::SILENCE);
    Ok(Client::try_from(settings)?)
}
