//! Programs that everybody has, as clients of Services.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{PORT, SERVICE, Stage, both, dns};
use crate::sandbox::{
    address::Family,
    command,
    fabric::Pod,
    server::{Reply, Serve, Server},
    wait,
};

const BACKENDS: [&str; 2] = ["q1", "q2"];
/// The backends' port, where they are not echo servers.
const TARGET: u16 = 8053;
/// That of iperf3.
const IPERF: u16 = 5201;

/// The body of an answer is who gave it.
pub(super) fn curl(stage: &Stage) -> Result<()> {
    let _servers = serve(stage, (serve_http, |_, _, _| Vec::new()))?;
    let backends = BACKENDS.map(|name| stage.pod(name).map(|pod| pod.address));
    let [one, other] = backends;
    let backends = [one?, other?];
    each(stage, |client, to| {
        let mut curl = client.namespace.command("curl");
        let answer = command::run(curl.args(["-sS", "-m", "10", &format!("http://{to}/")]))?;
        let right = backends
            .iter()
            .any(|backend| both(*backend).map(|own| own.to_string()).contains(&answer));
        ensure!(right, "{to} answers {answer:?}");
        Ok(())
    })
}

/// By UDP and by TCP.
pub(super) fn dig(stage: &Stage) -> Result<()> {
    let _servers = serve(stage, (dns::serve, dns::reply))?;
    each(stage, |client, to| {
        for how in ["+notcp", "+tcp"] {
            let mut dig = client.namespace.command("dig");
            dig.args(["+short", "+time=5", "+tries=2", how, "-p", &to.port().to_string()]);
            let answer = command::run(dig.args([&format!("@{}", to.ip()), "web.test", "A"]))?;
            ensure!(answer.trim() == dns::ANSWER.to_string(), "{to} {how} answers {answer:?}");
        }
        Ok(())
    })
}

/// What is sent comes back, by TCP and by UDP.
pub(super) fn nc(stage: &Stage) -> Result<()> {
    stage.apply(&stage.endpoints(&BACKENDS)?, &[])?;
    each(stage, |client, to| {
        for how in [&["-N", "-w", "10"][..], &["-u", "-W", "1", "-w", "5"]] {
            let mut nc = client.namespace.command("nc");
            nc.args(how).args([to.ip().to_string(), to.port().to_string()]);
            let answer = command::run_with_input(&mut nc, "netpath")?;
            ensure!(answer == "netpath", "{to} {how:?} answers {answer:?}");
        }
        Ok(())
    })
}

/// It has a connection for itself beside that of the measurement, which is to be the same server's.
pub(super) fn iperf3(stage: &Stage) -> Result<()> {
    let ports = ["tcp", "udp"].map(
        |protocol| json!({"name": protocol, "protocol": protocol, "port": PORT, "target": IPERF}),
    );
    for backend in BACKENDS {
        stage.apply(&stage.endpoints(&[backend])?, &[("ports", json!(ports))])?;
        let mut server = stage.pod(backend)?.namespace.command("iperf3");
        server.args(["-s", "-p", &IPERF.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let _server = Running(server.spawn().context("start iperf3")?);
        each(stage, |client, to| {
            for how in [&["-n", "20M"][..], &["-u", "-n", "2M", "-b", "50M"]] {
                wait::until("iperf3 measures", Duration::from_secs(20), || {
                    measured(client, to, how)
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether everything arrived; `None` while the server is not there or has another client.
fn measured(client: &Pod, to: SocketAddr, how: &[&str]) -> Result<Option<()>> {
    let mut iperf3 = client.namespace.command("iperf3");
    iperf3.args(["-J", "-c", &to.ip().to_string(), "-p", &to.port().to_string()]).args(how);
    let output = command::output(&mut iperf3)?;
    let report: Value = serde_json::from_slice(&output.stdout).context("the report of iperf3")?;
    match report["error"].as_str() {
        None => {}
        Some(error) if error.contains("busy") || error.contains("refused") => return Ok(None),
        Some(error) => bail!("{to} {how:?}: {error}"),
    }
    let end = &report["end"];
    let bytes = [&end["sum_received"]["bytes"], &end["sum"]["bytes"]];
    let bytes = bytes.iter().find_map(|bytes| bytes.as_u64());
    ensure!(bytes.is_some_and(|bytes| bytes > 1_000_000), "{to} {how:?}: {end}");
    Ok(Some(()))
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has backends on both nodes serve something else.
fn serve(stage: &Stage, how: (Serve, Reply)) -> Result<Vec<Server>> {
    let ports = ["tcp", "udp"].map(
        |protocol| json!({"name": protocol, "protocol": protocol, "port": PORT, "target": TARGET}),
    );
    stage.apply(&stage.endpoints(&BACKENDS)?, &[("ports", json!(ports))])?;
    let pods = BACKENDS.iter().map(|name| stage.pod(name));
    let serve = |pod: &Pod| {
        let addresses: [IpAddr; 2] = both(pod.address);
        Server::start_other(&pod.namespace, &addresses, TARGET, how)
    };
    pods.map(|pod| serve(pod?)).collect()
}

/// Every client in both families, several times.
fn each(stage: &Stage, ask: impl Fn(&Pod, SocketAddr) -> Result<()>) -> Result<()> {
    for client in stage.clients()? {
        for family in Family::BOTH {
            let to = SocketAddr::new(SERVICE.of(family), PORT);
            for _ in 0..3 {
                ask(client, to).with_context(|| client.name.clone())?;
            }
        }
    }
    Ok(())
}

fn serve_http(mut connection: TcpStream) {
    let mut talk = || {
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            connection.read_exact(&mut byte)?;
            request.extend(byte);
        }
        let body = connection.local_addr()?.ip().to_string();
        let length = body.len();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    };
    // A broken connection is the asker's to report.
    let _: std::io::Result<()> = talk();
}
