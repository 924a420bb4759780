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
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever is accepted while the server goes down is cut as well.
                let Some(cut) = shared.cut() else { return Ok(()) };
                tokio::spawn(connection(Arc::clone(&shared), stream, cut));
            }
            // It does not listen any more.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(()),
            // A client that did not wait.
            Err(_) => {}
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

/// Stops listening; clients are refused from now on. The socket stays, and with it the port and the
/// network namespace that it was opened in.
pub(crate) fn close(listener: &TcpListener, address: SocketAddr) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.shutdown(Shutdown::Both)?;
    match socket.bind(&address.into()) {
        // A port that was asked for by its number is kept anyway.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        bound => bound,
    }
}

/// Listens again at the same address.
pub(crate) fn reopen(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).listen(BACKLOG)
}
