//! Health checks: a port a Service where load balancers ask over HTTP whether the node has ready
//! backends, as they ask kube-proxy.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, spawn},
};

use super::ServiceName;
use crate::error::chain;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;

/// What a port answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The Service.
    pub service: ServiceName,
    /// Its ready endpoints on this node.
    pub local: usize,
}

/// The ports that are answered.
#[derive(Debug, Default)]
pub struct HealthChecks {
    servers: BTreeMap<u16, Server>,
    failed: BTreeMap<u16, String>,
}

#[derive(Debug)]
struct Server {
    health: watch::Sender<Health>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthChecks {
    /// Answers at these ports, and at no others. Ports that could not be had are tried again.
    pub fn set(&mut self, wanted: &BTreeMap<u16, Health>) {
        self.servers.retain(|port, _| wanted.contains_key(port));
        self.failed.retain(|port, _| wanted.contains_key(port));
        for (port, health) in wanted {
            self.put(*port, health.clone());
        }
    }

    /// Answers at one port.
    pub fn put(&mut self, port: u16, health: Health) {
        if let Some(server) = self.servers.get(&port) {
            server.health.send_replace(health);
            return;
        }
        let service = health.service.clone();
        match start(port, health) {
            Ok(server) => {
                self.failed.remove(&port);
                self.servers.insert(port, server);
            }
            Err(error) => {
                let error = chain(&error);
                if self.failed.insert(port, error.clone()).is_none() {
                    tracing::warn!(%service, port, error, "its health check can not be answered");
                }
            }
        }
    }

    /// Answers at a port no more.
    pub fn remove(&mut self, port: u16) {
        self.servers.remove(&port);
        self.failed.remove(&port);
    }

    /// Ports that could not be had, and why.
    pub fn failed(&self) -> impl Iterator<Item = (u16, &str)> {
        self.failed.iter().map(|(port, error)| (*port, error.as_str()))
    }
}

fn start(port: u16, health: Health) -> Result<Server, io::Error> {
    let listener = listen(port)?;
    let (health, answers) = watch::channel(health);
    let router = Router::new().fallback(answer).with_state(answers);
    let task = spawn(async move {
        // It ends with the agent only.
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(port, error = chain(&error), "a health check is no longer answered");
        }
    });
    Ok(Server { health, task })
}

/// One socket for both families, where the kernel has both.
fn listen(port: u16) -> Result<TcpListener, io::Error> {
    let open = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    match open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL)
            ) =>
        {
            open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    }
}

async fn answer(State(health): State<watch::Receiver<Health>>) -> impl IntoResponse {
    let Health { service, local } = health.borrow().clone();
    let (namespace, name) = service.parts();
    let body = json!({
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": local,
    });
    let status = if local > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // The weight that load balancers may give the node.
    (status, [("x-load-balancing-endpoint-weight", local.to_string())], Json(body))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    fn health(local: usize) -> Health {
        Health { service: "default/web".parse().expect("name"), local }
    }

    async fn get(address: &str, port: u16) -> String {
        let mut stream = TcpStream::connect((address, port)).await.expect("connected");
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    /// A port that nobody has: the kernel gives it to nobody else for a while.
    fn free_port() -> u16 {
        let listener = std::net::TcpListener::bind("[::]:0").expect("listener");
        listener.local_addr().expect("address").port()
    }

    #[tokio::test]
    async fn load_balancers_are_told() {
        let port = free_port();
        let mut checks = HealthChecks::default();
        checks.put(port, health(2));
        let answer = get("127.0.0.1", port).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"localEndpoints\":2"), "{answer}");
        assert!(answer.contains("{\"name\":\"web\",\"namespace\":\"default\"}"), "{answer}");
        checks.set(&[(port, health(0))].into());
        let answer = get("::1", port).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("\"localEndpoints\":0"), "{answer}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let taken = std::net::TcpListener::bind("[::]:0").expect("listener");
        let port = taken.local_addr().expect("address").port();
        let mut checks = HealthChecks::default();
        checks.put(port, health(1));
        let failed: Vec<_> = checks.failed().map(|(port, _)| port).collect();
        assert_eq!(failed, [port]);
        drop(taken);
        checks.set(&[(port, health(1))].into());
        assert_eq!(checks.failed().count(), 0);
        checks.remove(port);
    }
}
