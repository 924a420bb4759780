//! The kinds of probes that the network carries.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bytes::{Bytes, BytesMut};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::health::{GRPC, HTTP, PATH, SERVING};

/// How a pod is asked whether it is well.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// By a connection.
    Tcp,
    /// By a request, answered with 200.
    Http,
    /// By a call of `grpc.health.v1.Health/Check`.
    Grpc,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Tcp, Self::Http, Self::Grpc];

    pub(super) const fn port(self, tcp: u16) -> u16 {
        match self {
            Self::Tcp => tcp,
            Self::Http => HTTP,
            Self::Grpc => GRPC,
        }
    }

    /// Asks, on a connection of its own.
    pub(super) async fn probe(self, to: SocketAddr, patience: Duration) -> Result<()> {
        let ask = async {
            let connection = TcpStream::connect(to).await?;
            connection.set_nodelay(true)?;
            match self {
                Self::Tcp => Ok(()),
                Self::Http => http(connection, to).await,
                Self::Grpc => grpc(connection, to).await,
            }
        };
        timeout(patience, ask)
            .await
            .with_context(|| format!("{self:?} to {to}"))?
            .with_context(|| format!("{self:?} to {to}"))
    }
}

async fn http(connection: TcpStream, to: SocketAddr) -> Result<()> {
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(PATH).header("host", to.to_string()).body(Body::empty())?;
    let answer = client.send_request(request).await?;
    ensure!(answer.status() == StatusCode::OK, "answered with {}", answer.status());
    driver.abort();
    Ok(())
}

async fn grpc(connection: TcpStream, to: SocketAddr) -> Result<()> {
    let (mut client, connection) = h2::client::handshake(connection).await?;
    let driver = tokio::spawn(connection);
    let request = Request::post(format!("http://{to}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut question) = client.send_request(request, false)?;
    // About the whole server: an empty message.
    question.send_data(Bytes::from_static(&[0; 5]), true)?;
    let mut body = answer.await?.into_body();
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        message.extend_from_slice(&data?);
    }
    let Some(trailers) = body.trailers().await? else { bail!("no trailers") };
    ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "{trailers:?}");
    ensure!(message[..] == SERVING, "answered with {message:?}");
    driver.abort();
    Ok(())
}
