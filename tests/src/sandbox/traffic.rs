//! TCP transfers whose every byte is compared, and traffic that goes on in the background.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{namespace::Namespace, pattern::Pattern, probe::Pinger, server::SINK_PORT, wait};

/// No progress for this long ends a transfer.
const STALL: Duration = Duration::from_secs(30);
/// A reply that takes longer is lost: a loaded guest may stall for seconds without losing anything.
const REPLY: Duration = Duration::from_secs(10);
/// Between two pings of the background, and between two writes of a background transfer: together
/// they leave an emulated guest time for what is tested meanwhile.
const PING_PACE: Duration = Duration::from_millis(1);
const WRITE_PACE: Duration = Duration::from_millis(5);
/// Bytes handed to the kernel at once.
const CHUNK: usize = 65_000;
/// The same for a background transfer: more than a packet, so that GSO is at work.
const WRITE: usize = 16_000;

/// Sends `bytes` bytes to the sink of `to`, which compares every one of them.
pub fn transfer(from: &Namespace, to: IpAddr, bytes: u64) -> Result<()> {
    let connection = connect(from, to)?;
    send(connection, |sent| usize::try_from(bytes - sent).unwrap_or(usize::MAX)).map(drop)
}

fn connect(from: &Namespace, to: IpAddr) -> Result<TcpStream> {
    let sink = SocketAddr::new(to, SINK_PORT);
    let connection = from
        .enter(|| Ok(TcpStream::connect_timeout(&sink, STALL)?))
        .with_context(|| format!("connect to {sink}"))?;
    connection.set_write_timeout(Some(STALL))?;
    connection.set_read_timeout(Some(STALL))?;
    Ok(connection)
}

/// Sends the pattern as long as `wanted` asks for more, then lets the sink say how much was good.
fn send(mut connection: TcpStream, mut wanted: impl FnMut(u64) -> usize) -> Result<u64> {
    let pattern = Pattern::new();
    let mut sent = 0;
    loop {
        wait::check_interrupt()?;
        let chunk = pattern.at(sent, CHUNK.min(wanted(sent)));
        if chunk.is_empty() {
            break;
        }
        connection.write_all(chunk).with_context(|| format!("stalled after {sent} bytes"))?;
        sent += chunk.len() as u64;
    }
    connection.shutdown(Shutdown::Write)?;
    let mut answer = [0; 8];
    connection.read_exact(&mut answer).context("the sink does not answer")?;
    let good = u64::from_be_bytes(answer);
    ensure!(good == sent, "sent {sent} bytes, the sink got {good} good ones");
    Ok(sent)
}

/// Traffic that runs until it is told to stop, and then says what was lost.
#[derive(Debug, Default)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    flows: Vec<Flow>,
}

#[derive(Debug)]
struct Flow {
    name: String,
    /// Bytes of a transfer, replies of a ping.
    progress: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Traffic {
    /// A ping every millisecond; a lost one is an error.
    pub fn ping(&mut self, from: &Namespace, to: IpAddr) -> Result<()> {
        let mut pinger = from.enter(|| Ok(Pinger::open(to)?))?;
        self.spawn(format!("ping {to}"), move |stop, progress| {
            let mut lost = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                match pinger.ping(56, REPLY) {
                    Ok(()) => {
                        progress.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error)
                        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                    {
                        lost += 1;
                    }
                    Err(error) => return Err(error.into()),
                }
                thread::sleep(PING_PACE);
            }
            ensure!(lost == 0, "{lost} lost of {}", lost + progress.load(Ordering::Relaxed));
            Ok(())
        });
        Ok(())
    }

    /// A transfer to the sink of `to`; every byte is compared.
    pub fn stream(&mut self, from: &Namespace, to: IpAddr) -> Result<()> {
        let connection = connect(from, to)?;
        self.spawn(format!("transfer to {to}"), move |stop, progress| {
            let wanted = |sent| {
                progress.store(sent, Ordering::Relaxed);
                thread::sleep(WRITE_PACE);
                if stop.load(Ordering::Relaxed) { 0 } else { WRITE }
            };
            send(connection, wanted).map(drop)
        });
        Ok(())
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce(&AtomicBool, &AtomicU64) -> Result<()> + Send + 'static,
    ) {
        let (stop, progress) = (Arc::clone(&self.stop), Arc::new(AtomicU64::new(0)));
        let reported = Arc::clone(&progress);
        let thread = thread::spawn(move || work(&stop, &reported));
        self.flows.push(Flow { name, progress, thread });
    }

    /// Waits until every flow has moved on by `steps` from where it is now.
    pub fn moves_on(&self, steps: u64, when: &str) -> Result<()> {
        for Flow { name, progress, thread } in &self.flows {
            let goal = progress.load(Ordering::Relaxed) + steps;
            wait::until(&format!("{name} moves on {when}"), STALL, || {
                if thread.is_finished() {
                    bail!("it ended early");
                }
                Ok((progress.load(Ordering::Relaxed) >= goal).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Ends the flows; an error names every one that lost something.
    pub fn finish(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let mut losses = Vec::new();
        for Flow { name, progress: _, thread } in self.flows.drain(..) {
            let result = thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")));
            if let Err(error) = result {
                losses.push(format!("{name}: {error:#}"));
            }
        }
        ensure!(losses.is_empty(), "{}", losses.join("; "));
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
