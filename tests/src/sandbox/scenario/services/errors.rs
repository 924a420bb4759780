//! Errors that backends' hosts answer with reach who asked.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{PORT, SERVICE, Stage};
use crate::sandbox::address::Family;

const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody listens: the client is told that its Service refuses.
pub(super) fn port(stage: &Stage) -> Result<()> {
    let ports = json!([{"protocol": "udp", "port": PORT, "target": 4444}]);
    for backend in ["q1", "q2"] {
        stage.apply(&stage.endpoints(&[backend])?, &[("ports", ports.clone())])?;
        for client in stage.clients()? {
            for family in Family::BOTH {
                let to = SocketAddr::new(SERVICE.of(family), PORT);
                let answer = client.namespace.enter(|| refused(to))?;
                ensure!(answer, "{} asks {to} of {backend}: not refused", client.name);
            }
        }
    }
    Ok(())
}

fn refused(to: SocketAddr) -> Result<bool> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"?").context("ask")?;
    Ok(socket.recv(&mut [0; 16]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}
