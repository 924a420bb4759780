//! Whether host-local backends live: processes while they are bound, pods while they are attached.

use std::{net::IpAddr, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    error::chain,
    node::{Node, Shared},
    service::{BackendKey, Protocol, ServiceSpec, bound::Bound},
};

/// How often sockets are looked at: no event tells of them, and clients wait.
const PERIOD: Duration = Duration::from_millis(200);

/// Has Services follow their host-local backends, if there are any.
pub(in crate::node) async fn watch_locals(node: Shared) {
    if node.lock().await.services.locals.services().len() == 0 {
        return;
    }
    let mut timer = interval(PERIOD);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        timer.tick().await;
        match Bound::read() {
            Ok(bound) => {
                failed = false;
                node.lock().await.look_at_locals(&bound);
            }
            Err(error) if !failed => {
                failed = true;
                tracing::error!(error = chain(&error), "host-local backends can not be seen");
            }
            Err(_) => {}
        }
    }
}

impl Node {
    /// Finds which host-local backends of a new Service live, before it is taken in: so a restart does
    /// not lead clients elsewhere for a moment.
    pub(super) fn find_alive(&mut self, spec: &ServiceSpec) {
        let candidates = self.services.locals.candidates(spec);
        if candidates.is_empty() {
            return;
        }
        // Else the next look finds them.
        if let Ok(bound) = Bound::read() {
            for backend in candidates {
                let alive = self.lives(&backend, &bound);
                self.services.locals.set_alive(backend, alive);
            }
        }
    }

    /// Has Services follow their host-local backends.
    fn look_at_locals(&mut self, bound: &Bound) {
        let names: Vec<_> = self.services.locals.services().cloned().collect();
        for name in names {
            let Some(held) = self.services.registry.get(&name) else { continue };
            let candidates = self.services.locals.candidates(&held.spec);
            let mut changed = false;
            for backend in candidates {
                let alive = self.lives(&backend, bound);
                if !self.services.locals.set_alive(backend, alive) {
                    continue;
                }
                changed = true;
                let (address, port) = (IpAddr::from(backend.address), u16::from_be(backend.port));
                let protocol = Protocol::from_number(backend.protocol).map_or("", Protocol::name);
                if alive {
                    tracing::info!(service = %name, %address, port, protocol, "its host-local backend lives");
                } else {
                    tracing::warn!(service = %name, %address, port, protocol, "its host-local backend is gone");
                }
            }
            if !changed {
                continue;
            }
            self.refresh_service(&name);
            self.settle_services();
        }
    }

    fn lives(&self, backend: &BackendKey, bound: &Bound) -> bool {
        let address = IpAddr::from(backend.address);
        if self.state.is_attached(address) {
            return true;
        }
        let port = u16::from_be(backend.port);
        let bound = |protocol| bound.reaches(protocol, address, port);
        self.state.host.contains(&address)
            && Protocol::from_number(backend.protocol).is_some_and(bound)
    }
}
