//! What was heard of Services and of slices of their endpoints, put together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use kube::runtime::watcher::Event;

use super::{About, Update, convert::Slice};
use crate::service::{Item, ServiceName, ServiceSpec, Target};

/// What a Service's port is asked by whose name is empty, where backends differ in its number.
const UNNAMED: &str = "unnamed";

/// All that was heard.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    services: Listed<Item>,
    slices: Listed<Slice>,
    /// The slices of each Service, by the Service's name.
    of_service: HashMap<ServiceName, BTreeSet<String>>,
    /// Services that changed since the last update.
    changed: HashSet<String>,
    /// Whether everything was told once.
    told: bool,
}

/// The things of a kind by name, `namespace/name`, and those of a list that is still coming.
#[derive(Debug)]
struct Listed<T> {
    known: HashMap<String, T>,
    coming: Option<HashMap<String, T>>,
    /// Whether a whole list has come.
    whole: bool,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), coming: None, whole: false }
    }
}

impl<T: PartialEq> Listed<T> {
    /// Takes an event in, and returns what is otherwise than before: the name, and what was there.
    fn take(&mut self, event: About<T>) -> Vec<(String, Option<T>)> {
        match event {
            Event::Init => self.coming = Some(HashMap::new()),
            Event::InitApply((name, thing)) => {
                if let (Some(coming), Some(thing)) = (&mut self.coming, thing) {
                    coming.insert(name, thing);
                }
            }
            Event::InitDone => {
                let Some(coming) = self.coming.take() else { return Vec::new() };
                self.whole = true;
                let mut before = std::mem::replace(&mut self.known, coming);
                let same = |name: &String, old: Option<&T>| old == self.known.get(name);
                let mut changed: Vec<_> = self.known.keys().cloned().collect();
                changed.retain(|name| !same(name, before.get(name)));
                changed
                    .extend(before.keys().filter(|name| !self.known.contains_key(*name)).cloned());
                return changed
                    .into_iter()
                    .map(|name| {
                        let old = before.remove(&name);
                        (name, old)
                    })
                    .collect();
            }
            Event::Apply((name, Some(thing))) => {
                if self.known.get(&name) != Some(&thing) {
                    let old = self.known.insert(name.clone(), thing);
                    return vec![(name, old)];
                }
            }
            Event::Apply((name, None)) | Event::Delete((name, _)) => {
                if let Some(old) = self.known.remove(&name) {
                    return vec![(name, Some(old))];
                }
            }
        }
        Vec::new()
    }
}

impl Catalog {
    /// Takes in what was heard of Services.
    pub(super) fn services(&mut self, event: About<Item>) {
        let changed = self.services.take(event).into_iter().map(|(name, _)| name);
        self.changed.extend(changed);
    }

    /// Takes in what was heard of slices.
    pub(super) fn slices(&mut self, event: About<Slice>) {
        for (name, old) in self.slices.take(event) {
            if let Some(old) = old {
                if let Some(slices) = self.of_service.get_mut(&old.service) {
                    slices.remove(&name);
                    if slices.is_empty() {
                        self.of_service.remove(&old.service);
                    }
                }
                self.changed.insert(old.service.to_string());
            }
            if let Some(new) = self.slices.known.get(&name) {
                self.of_service.entry(new.service.clone()).or_default().insert(name);
                self.changed.insert(new.service.to_string());
            }
        }
    }

    /// What is new since this was last asked; nothing before both kinds have been listed.
    pub(super) fn update(&mut self) -> Option<Update> {
        if !self.services.whole || !self.slices.whole {
            return None;
        }
        let changed = std::mem::take(&mut self.changed);
        if !self.told {
            self.told = true;
            let items = self.services.known.values().map(|item| self.whole(item));
            return Some(Update::Whole(items.collect()));
        }
        let (mut items, mut gone) = (Vec::new(), Vec::new());
        for name in changed {
            match self.services.known.get(&name) {
                Some(item) => items.push(self.whole(item)),
                // What is no name was no Service.
                None => gone.extend(name.parse().ok()),
            }
        }
        let is_empty = items.is_empty() && gone.is_empty();
        (!is_empty).then_some(Update::Changes { items, gone })
    }

    /// A Service with its endpoints.
    fn whole(&self, item: &Item) -> Item {
        let mut spec = item.clone()?;
        let slices = self.of_service.get(&spec.name).into_iter().flatten();
        let slices: Vec<_> = slices.filter_map(|name| self.slices.known.get(name)).collect();
        attach(&mut spec, &slices);
        Ok(spec)
    }
}

/// Gives a Service the endpoints of its slices. A port gets the number that all of them have; where they
/// differ, each endpoint has its own, by the port's name.
fn attach(spec: &mut ServiceSpec, slices: &[&Slice]) {
    let of_family = |slice: &Slice| {
        let own = |ipv6: bool| spec.addresses().any(|address| address.is_ipv6() == ipv6);
        own(slice.ipv6)
    };
    let slices: Vec<_> =
        slices.iter().filter(|slice| !slice.endpoints.is_empty() && of_family(slice)).collect();
    let mut named = Vec::new();
    for port in &mut spec.ports {
        let name = port.name.as_deref().unwrap_or_default();
        let numbers: BTreeSet<_> = slices.iter().map(|slice| slice.port(name)).collect();
        if numbers.len() == 1
            && let Some(Some(number)) = numbers.first()
        {
            port.target = Some(Target::Number(*number));
            continue;
        }
        let called = if name.is_empty() { UNNAMED } else { name }.to_owned();
        port.target = Some(Target::Name(called.clone()));
        named.push((name.to_owned(), called));
    }
    for slice in slices {
        let ports =
            named.iter().filter_map(|(name, called)| Some((called.clone(), slice.port(name)?)));
        let ports: BTreeMap<_, _> = ports.collect();
        spec.endpoints.extend(slice.endpoints.iter().cloned().map(|mut endpoint| {
            endpoint.ports.clone_from(&ports);
            endpoint
        }));
    }
}
