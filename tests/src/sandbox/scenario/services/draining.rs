//! A connection goes on while its backend is taken from the Service; new ones go to the others.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{PORT, SERVICE, Stage, asker};
use crate::sandbox::{address::Family, fabric::Pod, together::together};

const PATIENCE: Duration = Duration::from_secs(10);
/// How often a client says something, as one that keeps a connection alive.
const PACE: Duration = Duration::from_millis(100);
/// How often before the change, and after it.
const WORDS: usize = 15;

pub(super) fn goes_on(stage: &Stage) -> Result<()> {
    stage.apply(&stage.endpoints(&["q1"])?, &[])?;
    let clients = stage.clients()?;
    let opened = clients.into_iter().flat_map(|client| Family::BOTH.map(|family| (client, family)));
    let mut open =
        opened.map(|(client, family)| connect(client, family)).collect::<Result<Vec<_>>>()?;
    all_talk(&mut open).context("before the change")?;
    stage.apply(&stage.endpoints(&["q2"])?, &[])?;
    for client in clients {
        stage.expect(asker(client), SERVICE, PORT, &["q2"])?;
    }
    all_talk(&mut open).context("after the change")
}

fn connect(client: &Pod, family: Family) -> Result<TcpStream> {
    let to = SocketAddr::new(SERVICE.of(family), PORT);
    client.namespace.enter(|| {
        let connection = TcpStream::connect_timeout(&to, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_nodelay(true)?;
        Ok(connection)
    })
}

fn all_talk(open: &mut [TcpStream]) -> Result<()> {
    together(open.iter_mut().map(|connection| || talk(connection)))?.into_iter().collect()
}

/// A byte at a time, each of which comes back.
fn talk(connection: &mut TcpStream) -> Result<()> {
    let peer = connection.peer_addr()?;
    for word in 0..WORDS {
        let mut answer = [0];
        connection.write_all(b".").with_context(|| format!("{peer}: write byte {word}"))?;
        connection.read_exact(&mut answer).with_context(|| format!("{peer}: read byte {word}"))?;
        ensure!(answer == *b".", "{peer}: {answer:?}");
        thread::sleep(PACE);
    }
    Ok(())
}
