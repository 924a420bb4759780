//! A lean request and its response: next to nothing but what the kernel does.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sandbox::{namespace::Namespace, server::ECHO_PORT};

/// Bytes of a request, and of its response.
const SIZE: usize = 16;
/// For the first packets, which may have to wait for a neighbour.
const PATIENCE: Duration = Duration::from_secs(5);
/// Round trips before the first batch: the kernel has found everything that it looks for once.
const WARM_UP: u32 = 100;
/// Round trips in a batch: few enough that most batches see no tick of the kernel's clock.
const BATCH: u32 = 50;
/// Batches, of which the median counts.
const BATCHES: usize = 11;

/// Packets that a measurement sends at least.
pub(super) const PACKETS: u64 = 2 * BATCH as u64 * BATCHES as u64;

/// Nanoseconds of a round trip from `from` to `address` in `at`: a thread at each end that sends
/// and then waits, over a TCP connection (`Type::STREAM`) or by datagrams.
pub(super) fn round_trip(
    from: &Namespace,
    at: &Namespace,
    address: IpAddr,
    kind: Type,
) -> Result<u32> {
    let to = SocketAddr::new(address, ECHO_PORT);
    let ends = connect(from, at, to, kind);
    let (client, server, peer) = ends.with_context(|| format!("reach {to}"))?;
    thread::scope(|scope| {
        scope.spawn(|| serve(&server, &peer));
        let cost = measure(&client);
        // Wakes who waits, although Linux complains of datagrams that nobody is connected.
        let _ = server.shutdown(Shutdown::Both);
        cost
    })
}

/// The socket that asks, and the one that answers with the address of its peer.
///
/// What can get lost does so here. Later both ends wait without a limit: a timer would be a part of
/// the cost.
fn connect(
    from: &Namespace,
    at: &Namespace,
    to: SocketAddr,
    kind: Type,
) -> Result<(Socket, Socket, SockAddr)> {
    let open = || Ok(Socket::new(Domain::for_address(to), kind, None)?);
    let (client, server) = (from.enter(open)?, at.enter(open)?);
    let to = SockAddr::from(to);
    server.set_reuse_address(true)?;
    server.bind(&to)?;
    server.set_read_timeout(Some(PATIENCE))?;
    let (server, peer) = if kind == Type::STREAM {
        server.listen(1)?;
        client.connect_timeout(&to, PATIENCE)?;
        server.accept()?
    } else {
        client.connect(&to)?;
        client.send(&[0; SIZE])?;
        let (_, peer) = server.recv_from(&mut [])?;
        server.set_read_timeout(None)?;
        (server, peer)
    };
    Ok((client, server, peer))
}

/// Sends back what comes until the socket is shut down.
fn serve(mut socket: &Socket, peer: &SockAddr) {
    let mut buffer = [0; SIZE];
    while let Ok(length @ 1..) = socket.read(&mut buffer) {
        // TCP knows the peer, and takes no notice of the address.
        if socket.send_to(&buffer[..length], peer).is_err() {
            return;
        }
    }
}

fn measure(client: &Socket) -> Result<u32> {
    exchange(client, WARM_UP)?;
    let mut batches = [0; BATCHES];
    for batch in &mut batches {
        let start = Instant::now();
        exchange(client, BATCH)?;
        *batch = u32::try_from(start.elapsed().as_nanos() / u128::from(BATCH))?;
    }
    batches.sort_unstable();
    Ok(batches[BATCHES / 2])
}

fn exchange(mut socket: &Socket, rounds: u32) -> Result<()> {
    let mut buffer = [0; SIZE];
    for _ in 0..rounds {
        socket.write_all(&buffer).context("send a request")?;
        let length = socket.read(&mut buffer).context("wait for the response")?;
        ensure!(length == SIZE, "a response of {length} bytes");
    }
    Ok(())
}
