//! The agent's life: requests, events and the timer, one at a time.

use std::{fs, path::Path, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{Error, Node, start::Ground};
use crate::{api, api::Command, config::Config, error::chain, netlink::Monitor};

/// Requests that may wait. More than that wait in their connections.
const WAITING: usize = 64;

/// Runs the agent until it is told to stop. The dataplane stays as it is: a successor adopts it.
pub async fn run(config: Config) -> Result<(), Error> {
    let signal =
        |kind| signal(kind).map_err(|source| Error::Io { action: "listen for signals", source });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Before the first look at links and addresses, so that no change falls in between.
    let mut monitor = Monitor::start()?;
    let mut watching = true;

    let socket = config.agent.socket.clone();
    let ground = Ground::check(config).await?;
    let listener = api::listen(&socket)?;
    let mut node = match ground.start().await {
        Ok(node) => node,
        Err(error) => {
            forget(&socket);
            return Err(error);
        }
    };
    let (sender, mut requests) = mpsc::channel(WAITING);
    tokio::spawn(api::serve(listener, sender));
    tracing::info!(socket = %socket.display(), "ready");

    let period = Duration::from_secs(node.config.datapath.reconcile_seconds.into());
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer.reset();
    loop {
        let result = tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(request) = requests.recv() => {
                node.answer(request).await;
                Ok(())
            }
            change = monitor.changed(), if watching => if let Some(change) = change {
                node.refresh(change).await
            } else {
                watching = false;
                tracing::error!("the kernel's events are lost; the timer goes on");
                Ok(())
            },
            _ = timer.tick() => node.reconcile().await,
        };
        if let Err(error) = result {
            tracing::error!(error = chain(&error), "could not be reconciled; will try again");
        }
    }
    tracing::info!("stopping; the dataplane goes on");
    forget(&socket);
    Ok(())
}

/// Removes the socket's file. One that stays hurts nobody: the next agent replaces it.
fn forget(socket: &Path) {
    let _ = fs::remove_file(socket);
}

impl Node {
    /// Answers a request. Who asked may be gone: then nobody wants the answer.
    async fn answer(&mut self, request: Command) {
        match request {
            Command::Status(reply) => drop(reply.send(self.status().await)),
            Command::Endpoints(reply) => drop(reply.send(Ok(self.list_endpoints()))),
            Command::AddEndpoint(spec, reply) => drop(reply.send(self.add_endpoint(spec).await)),
            Command::RemoveEndpoint(name, reply) => {
                drop(reply.send(self.remove_endpoint(&name).await));
            }
            Command::Routes(table, reply) => drop(reply.send(Ok(self.list_routes(table)))),
            Command::AddRoute(spec, reply) => drop(reply.send(self.add_route(spec))),
            Command::RemoveRoute(table, prefix, reply) => {
                drop(reply.send(self.remove_route(table, prefix)));
            }
            Command::Counters(reply) => drop(reply.send(self.counters())),
            Command::EndpointCounters(reply) => drop(reply.send(self.endpoint_counters())),
            Command::Explain(question, reply) => drop(reply.send(self.explain(&question))),
        }
    }
}
