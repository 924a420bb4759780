//! Connections: accepted while the server is up, and cut when it goes down.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener},
    sync::Arc,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::{self, TcpStream},
    sync::watch,
};

use super::{Shared, http::serve};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Accepts connections until the listener is closed.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) -> io::Result<()> {
    let listener = net::TcpListener::from_std(listener)?;
    loop {
        let accepted = listener.accept().await;
        // Whoever is accepted while the server goes down is cut as well.
        let Some(cut) = shared.cut() else { return Ok(()) };
        if let Ok((stream, _)) = accepted {
            tokio::spawn(connection(Arc::clone(&shared), stream, cut));
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, mut cut: watch::Receiver<()>) {
    // A watch tells what happens at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| serve(Arc::clone(&shared), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // How a connection ends is the client's to report.
        _ = serving => {}
        _ = cut.changed() => {}
    }
}

/// Stops listening; clients are refused from now on. The socket stays, and with it the network
/// namespace that it was opened in.
pub(crate) fn close(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).shutdown(Shutdown::Both)
}

/// Listens again at the same address.
pub(crate) fn reopen(listener: &TcpListener, address: SocketAddr) -> io::Result<()> {
    let socket = SockRef::from(listener);
    match socket.bind(&address.into()) {
        // A port that was asked for by its number is kept.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        bound => bound?,
    }
    socket.listen(BACKLOG)
}
