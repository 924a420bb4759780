//! Following who has a list of Services: the whole of it, or what changed.

use std::collections::HashSet;

use super::apply::Taken;
use crate::{
    error::chain,
    node::Node,
    service::{
        Item, ServiceName, Unreadable,
        registry::{Origin, Outcome},
    },
    store::Change,
};

impl Node {
    /// Takes in a whole list: what is not in it any more goes. A Service in it that is bad leaves the
    /// one of that name as it was. Returns what is to be stored.
    pub(super) fn follow_list(&mut self, items: Vec<Item>, origin: Origin) -> Vec<Change> {
        self.services.refused.retain(|_, (by, _)| *by != origin);
        let names: HashSet<_> = items.iter().map(name_of).collect();
        let own = self.services.registry.iter().filter(|held| held.origin == origin);
        let own = own.map(|held| held.spec.name.clone());
        let gone: Vec<_> = own.filter(|name| !names.contains(name.as_str())).collect();
        drop(names);
        self.follow_changes(items, &gone, origin)
    }

    /// Takes in what changed of a list. Returns what is to be stored.
    pub(super) fn follow_changes(
        &mut self,
        items: Vec<Item>,
        gone: &[ServiceName],
        origin: Origin,
    ) -> Vec<Change> {
        let mut stored = Vec::new();
        let mut removed = 0;
        for name in gone {
            self.services.unrefuse(name.as_str(), origin);
            if self.services.registry.get(name).is_none_or(|held| held.origin != origin) {
                continue;
            }
            removed += 1;
            stored.push(Change::RemoveService(name.clone()));
            if let Err(error) = self.remove_service(name) {
                tracing::error!(service = %name, error = chain(&error), "not all of it was removed");
            }
        }
        let Taken { rows, changes } = self.take(items, origin);
        stored.extend(changes);
        let (mut created, mut changed, mut refused) = (0, 0, 0);
        for row in rows {
            match row.result {
                Ok(Outcome::Created) => created += 1,
                Ok(Outcome::Changed) => changed += 1,
                Ok(Outcome::Unchanged) => {}
                Err(failure) => {
                    refused += 1;
                    self.services.refuse(&row.name, origin, failure.error);
                }
            }
        }
        let by = origin.name();
        if created + changed + removed + refused > 1 {
            tracing::info!(by, created, changed, removed, refused, "Services followed");
        } else {
            tracing::debug!(by, created, changed, removed, refused, "Services followed");
        }
        stored
    }
}

fn name_of(item: &Item) -> String {
    match item {
        Ok(spec) => spec.name.to_string(),
        Err(Unreadable { name, .. }) => name.clone(),
    }
}
