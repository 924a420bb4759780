//! What is asked for at runtime.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::services::{Applied, PutEndpoints, Service, What},
    error::chain,
    node::{Error, Kind, Node, Shared},
    service::{
        Item, Problem, ServiceName, ServiceSpec, Unreadable,
        bound::Bound,
        registry::{Held, Origin, Outcome},
    },
    store::Change,
};

/// What became of a list of Services.
pub(super) struct Taken {
    /// Item by item.
    pub(super) rows: Vec<Row>,
    /// What is to be stored.
    pub(super) changes: Vec<Change>,
}

/// What became of an item.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) result: Result<Outcome, Failure>,
}

/// Why an item was refused.
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) field: Option<String>,
    pub(super) kind: Kind,
}

/// Takes Services in. Those that are refused do not keep the others away.
///
/// The tables are right when this returns, and the store confirms it; if that fails, they are right
/// until the agent ends.
pub(in crate::node) async fn apply(node: &Shared, items: Vec<Item>) -> Result<Vec<Applied>, Error> {
    let (journal, Taken { rows, changes }) = {
        let mut node = node.lock().await;
        (node.journal.clone(), node.take(items, Origin::Runtime))
    };
    if !changes.is_empty() {
        journal.write(changes).await?;
    }
    Ok(rows.into_iter().map(Applied::from).collect())
}

/// Replaces the endpoints of a Service.
pub(in crate::node) async fn put_endpoints(
    node: &Shared,
    what: PutEndpoints,
) -> Result<Applied, Error> {
    let PutEndpoints { service: name, endpoints } = what;
    let (journal, outcome, changes) = {
        let mut node = node.lock().await;
        let held = node.services.registry.get(&name).cloned();
        let held = held.ok_or_else(|| Error::NoService(name.clone()))?;
        let outcome =
            node.put_service(ServiceSpec { endpoints, ..held.spec.clone() }, Origin::Runtime)?;
        node.settle_services();
        (node.journal.clone(), outcome, node.stored(&name, outcome))
    };
    if !changes.is_empty() {
        journal.write(changes).await?;
    }
    Ok(Row { name: name.to_string(), result: Ok(outcome) }.into())
}

/// Lets a Service go that was added at runtime.
pub(in crate::node) async fn remove(node: &Shared, name: &ServiceName) -> Result<Service, Error> {
    let (journal, held) = {
        let mut node = node.lock().await;
        match node.services.registry.get(name).map(|held| held.origin) {
            None => return Err(Error::NoService(name.clone())),
            Some(Origin::Runtime) => {}
            Some(origin) => return Err(Error::ServiceConfigured { name: name.clone(), origin }),
        }
        let removed = node.remove_service(name);
        node.settle_services();
        (node.journal.clone(), removed)
    };
    journal.write(vec![Change::RemoveService(name.clone())]).await?;
    let held = held?.ok_or_else(|| Error::NoService(name.clone()))?;
    tracing::info!(service = %name, "service removed");
    Ok(Service::from(held.as_ref()))
}

impl Node {
    /// Takes the Services of a list in. One that wants what another of the list gives up waits for it.
    pub(super) fn take(&mut self, items: Vec<Item>, origin: Origin) -> Taken {
        let mut rows = Vec::with_capacity(items.len());
        let (mut waiting, mut seen) = (Vec::new(), HashMap::new());
        for (at, item) in items.into_iter().enumerate() {
            match item {
                Ok(spec) => {
                    let name = spec.name.to_string();
                    let first = *seen.entry(spec.name.clone()).or_insert(at);
                    let result = Err(if first == at {
                        waiting.push((at, spec));
                        Failure::waiting()
                    } else {
                        let problem = Problem::NameTwice { name: spec.name, first };
                        let field = Some("name".to_owned());
                        Failure { error: problem.to_string(), field, kind: Kind::Invalid }
                    });
                    rows.push(Row { name, result });
                }
                Err(unreadable) => rows.push(unreadable.into()),
            }
        }
        let mut changes = Vec::new();
        loop {
            let before = waiting.len();
            waiting.retain(|(at, spec)| {
                let name = &spec.name;
                let result = self.put_service(spec.clone(), origin);
                let again = matches!(&result, Err(error) if error.kind() == Kind::Conflict);
                if let Ok(outcome) = result {
                    changes.extend(self.stored(name, outcome));
                }
                rows[*at].result = result.map_err(Failure::from);
                again
            });
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        self.settle_services();
        self.warn_of_taken_ports(&rows);
        Taken { rows, changes }
    }

    /// What the store should be told of a Service.
    fn stored(&self, name: &ServiceName, outcome: Outcome) -> Vec<Change> {
        let held = self.services.registry.get(name).filter(|_| outcome != Outcome::Unchanged);
        let change = held.map(|held| match held.origin {
            Origin::Runtime | Origin::Kubernetes => Change::PutService(Arc::clone(held)),
            Origin::File => Change::RemoveService(name.clone()),
        });
        change.into_iter().collect()
    }

    fn warn_of_taken_ports(&self, rows: &[Row]) {
        let news =
            rows.iter().filter(|row| matches!(row.result, Ok(Outcome::Created | Outcome::Changed)));
        let news: HashSet<_> = news.map(|row| row.name.as_str()).collect();
        if news.is_empty() {
            return;
        }
        let Ok(bound) = Bound::read() else { return };
        for (name, text) in self.taken_ports(&bound) {
            if news.contains(name.as_str()) {
                tracing::warn!("{text}");
            }
        }
    }
}

impl Failure {
    /// Until it was tried.
    fn waiting() -> Self {
        Self { error: String::new(), field: None, kind: Kind::Failed }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (field, kind) = (error.field().map(str::to_owned), error.kind());
        // The name stands beside it.
        let error = match error {
            Error::Service { name: _, invalid } => invalid.to_string(),
            error => chain(&error),
        };
        Self { error, field, kind }
    }
}

impl From<Unreadable> for Row {
    fn from(unreadable: Unreadable) -> Self {
        let error = unreadable.to_string();
        let Unreadable { name, field, problem: _ } = unreadable;
        Self { name, result: Err(Failure { error, field: Some(field), kind: Kind::Invalid }) }
    }
}

impl From<Row> for Applied {
    fn from(row: Row) -> Self {
        let Row { name, result } = row;
        match result {
            Ok(outcome) => {
                Self { name, result: outcome.into(), error: None, field: None, kind: None }
            }
            Err(Failure { error, field, kind }) => {
                Self { name, result: What::Refused, error: Some(error), field, kind: Some(kind) }
            }
        }
    }
}

impl From<&Held> for Service {
    fn from(held: &Held) -> Self {
        Self { spec: held.spec.clone(), origin: held.origin }
    }
}
