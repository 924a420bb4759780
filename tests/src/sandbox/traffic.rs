//! TCP transfers whose every byte is compared, and traffic that goes on in the background: pings,
//! transfers, datagrams. What one of them loses is an error.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
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
/// Datagrams that may be under way: fewer than any queue of the kernel holds, so that none is lost
/// but by who is tested.
const UNDER_WAY: u64 = 64;
/// Between two bursts of datagrams.
const BURST_PACE: Duration = Duration::from_millis(1);
/// How often a receiver looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Sends `bytes` bytes to the sink of `to`, which compares every one of them.
pub fn transfer(from: &Namespace, to: IpAddr, bytes: u64) -> Result<()> {
    let connection = connect(from, SocketAddr::new(to, SINK_PORT))?;
    send(connection, |sent| usize::try_from(bytes - sent).unwrap_or(usize::MAX)).map(drop)
}

/// Sends `bytes` bytes to an echo server and compares what comes back: as much goes either way.
pub fn exchange(from: &Namespace, to: SocketAddr, bytes: u64) -> Result<()> {
    let mut connection = connect(from, to)?;
    let pattern = Pattern::new();
    let mut answer = vec![0; CHUNK];
    let mut done = 0;
    while done < bytes {
        wait::check_interrupt()?;
        let chunk = pattern.at(done, CHUNK);
        connection.write_all(chunk).with_context(|| format!("stalled after {done} bytes"))?;
        let answer = &mut answer[..chunk.len()];
        connection.read_exact(answer).with_context(|| format!("no echo after {done} bytes"))?;
        ensure!(pattern.matches(done, answer), "other bytes came back after {done}");
        done += chunk.len() as u64;
    }
    Ok(())
}

fn connect(from: &Namespace, to: SocketAddr) -> Result<TcpStream> {
    let connection = from
        .enter(|| Ok(TcpStream::connect_timeout(&to, STALL)?))
        .with_context(|| format!("connect to {to}"))?;
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

    /// Datagrams, at most `rate` a second and as many as the machine can carry; a lost one is an
    /// error. The rate is printed in the end.
    pub fn datagrams(
        &mut self,
        (from, source): (&Namespace, IpAddr),
        (to, target): (&Namespace, IpAddr),
        rate: u64,
    ) -> Result<()> {
        let any = |like: IpAddr| match like {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let receiver = to.enter(|| Ok(UdpSocket::bind((any(target), 0))?))?;
        receiver.set_read_timeout(Some(LOOK))?;
        let port = receiver.local_addr()?.port();
        let sender = from.enter(|| Ok(UdpSocket::bind((source, 0))?))?;
        sender.connect((target, port))?;
        let over = Arc::new(AtomicBool::new(false));
        let arrived = Arc::new(AtomicU64::new(0));
        let counter = {
            let (over, arrived) = (Arc::clone(&over), Arc::clone(&arrived));
            thread::spawn(move || count(&receiver, &over, &arrived))
        };
        self.spawn(format!("datagrams {source} to {target}"), move |stop, progress| {
            let start = Instant::now();
            let sent = send_datagrams(&sender, rate, (stop, progress), &arrived);
            let seconds = start.elapsed().as_secs_f64();
            let sent = sent.and_then(|sent| {
                // Those that are under way have as long as a ping's reply.
                wait::until("the last datagrams", REPLY, || {
                    Ok((arrived.load(Ordering::Relaxed) >= sent).then_some(()))
                })
                .with_context(|| {
                    format!("{} lost of {sent}", sent - arrived.load(Ordering::Relaxed))
                })?;
                Ok(sent)
            });
            over.store(true, Ordering::Relaxed);
            counter.join().map_err(|_| anyhow!("the receiver panicked"))??;
            let sent = sent?;
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let each = sent as f64 / seconds;
            eprintln!("datagrams {source} to {target}: {sent}, {each:.0}/s, none lost");
            Ok(())
        });
        Ok(())
    }

    /// A transfer to the sink of `to`; every byte is compared.
    pub fn stream(&mut self, from: &Namespace, to: IpAddr) -> Result<()> {
        let connection = connect(from, SocketAddr::new(to, SINK_PORT))?;
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

/// Sends numbered datagrams until `stop`, never more than may be under way. Returns how many.
fn send_datagrams(
    sender: &UdpSocket,
    rate: u64,
    (stop, progress): (&AtomicBool, &AtomicU64),
    arrived: &AtomicU64,
) -> Result<u64> {
    let start = Instant::now();
    let (mut sent, mut last) = (0_u64, (0, start));
    while !stop.load(Ordering::Relaxed) {
        let there = arrived.load(Ordering::Relaxed);
        if there > last.0 {
            last = (there, Instant::now());
        }
        ensure!(last.1.elapsed() < REPLY, "{} under way, and none arrives", sent - there);
        progress.store(there, Ordering::Relaxed);
        let due = u64::try_from(start.elapsed().as_micros())? * rate / 1_000_000;
        let until = due.min(there + UNDER_WAY);
        thread::sleep(BURST_PACE);
        for number in sent..until {
            sender.send(&number.to_be_bytes()).context("send a datagram")?;
        }
        sent = sent.max(until);
    }
    Ok(sent)
}

/// Counts datagrams; one that comes twice is an error.
fn count(receiver: &UdpSocket, over: &AtomicBool, arrived: &AtomicU64) -> Result<()> {
    // Those that were overtaken.
    let (mut next, mut missing) = (0_u64, BTreeSet::new());
    let mut buffer = [0; 8];
    while !over.load(Ordering::Relaxed) {
        match receiver.recv(&mut buffer) {
            Ok(_) => {
                let number = u64::from_be_bytes(buffer);
                missing.extend(next..number);
                ensure!(number >= next || missing.remove(&number), "{number} came twice");
                next = next.max(number + 1);
                arrived.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
    Ok(())
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
