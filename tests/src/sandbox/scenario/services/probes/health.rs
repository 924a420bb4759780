//! What a pod answers probes with: HTTP, and gRPC's health checks.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    http::{HeaderMap, HeaderValue, Response},
    routing::get,
};
use bytes::Bytes;
use h2::server::SendResponse;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

use crate::sandbox::namespace::Namespace;

pub(super) const HTTP: u16 = 9201;
pub(super) const GRPC: u16 = 9202;
/// Where HTTP is asked.
pub(super) const PATH: &str = "/healthz";

/// A message of gRPC is not compressed, has a length of two, and says: field 1, SERVING
/// (`grpc.health.v1.HealthCheckResponse`).
pub(super) const SERVING: [u8; 7] = [0, 0, 0, 0, 2, 8, 1];

/// Answers until it is dropped.
#[derive(Debug)]
pub(super) struct Health {
    _runtime: Runtime,
}

impl Health {
    /// Answers in a namespace, whatever the address.
    pub(super) fn start(namespace: &Namespace) -> Result<Self> {
        // Its thread is in the namespace as well.
        namespace.enter(|| {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let listen = |port| TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
            let (http, grpc) = runtime
                .block_on(async {
                    Ok::<_, std::io::Error>((listen(HTTP).await?, listen(GRPC).await?))
                })
                .with_context(|| format!("listen in {}", namespace.name()))?;
            let router = Router::new().route(PATH, get(|| async { "ok" }));
            runtime.spawn(async { axum::serve(http, router).await });
            runtime.spawn(async move {
                while let Ok((connection, _)) = grpc.accept().await {
                    tokio::spawn(serve(connection));
                }
            });
            Ok(Self { _runtime: runtime })
        })
    }
}

/// Answers the requests of a connection. A broken one is the asker's to report.
async fn serve(connection: TcpStream) {
    let _ = connection.set_nodelay(true);
    let Ok(mut connection) = h2::server::handshake(connection).await else { return };
    while let Some(Ok((_, response))) = connection.accept().await {
        if answer(response).is_err() {
            return;
        }
    }
}

fn answer(mut response: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut body = response.send_response(head, false)?;
    body.send_data(Bytes::from_static(&SERVING), false)?;
    let status = [("grpc-status".parse().expect("a header"), HeaderValue::from_static("0"))];
    body.send_trailers(HeaderMap::from_iter(status))
}
