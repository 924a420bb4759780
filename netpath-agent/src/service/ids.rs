//! Numbers of Services, the same after a restart: by them clients stay with their backends.

use std::collections::HashMap;

use super::{ServiceName, resolve::Group};
use crate::hash::fnv1a;

/// Whose number is whose.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    owners: HashMap<u32, (ServiceName, Group)>,
}

impl Ids {
    /// The number of a group of a Service: a hash of what it is called, or the next one that is free.
    /// Nothing has to be kept for it to be the same in the next run, and on other nodes.
    pub(super) fn of(&mut self, service: &ServiceName, group: Group) -> u32 {
        let Group { port, protocol, ipv6, external } = group;
        let text = format!("{service} {port}/{protocol} {ipv6} {external}");
        let hash = fnv1a(text.as_bytes());
        // Both halves, so that none of the bits is lost.
        let mut id = (hash >> 32) as u32 ^ (hash & 0xffff_ffff) as u32;
        loop {
            match self.owners.get(&id) {
                // 0 is what a map's empty entry has.
                _ if id == 0 => {}
                None => break,
                Some((owner, other)) if owner == service && *other == group => return id,
                Some(_) => {}
            }
            id = id.wrapping_add(1);
        }
        self.owners.insert(id, (service.clone(), group));
        id
    }

    /// Whose a number is.
    pub(super) fn owner(&self, id: u32) -> Option<&ServiceName> {
        self.owners.get(&id).map(|(name, _)| name)
    }

    /// Gives a number back.
    pub(super) fn release(&mut self, id: u32) {
        self.owners.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Protocol;

    #[test]
    fn numbers_stay_and_differ() {
        let (mut ids, mut again) = (Ids::default(), Ids::default());
        let name: ServiceName = "default/web".parse().expect("name");
        let group = Group { port: 80, protocol: Protocol::Tcp, ipv6: false, external: false };
        let all = [
            group,
            Group { port: 81, ..group },
            Group { protocol: Protocol::Udp, ..group },
            Group { ipv6: true, ..group },
            Group { external: true, ..group },
        ];
        let numbers = all.map(|group| ids.of(&name, group));
        for (at, number) in numbers.iter().enumerate() {
            assert!(!numbers[..at].contains(number));
        }
        assert_eq!(all.map(|group| ids.of(&name, group)), numbers);
        let mut backwards = all.map(|group| group);
        backwards.reverse();
        let mut others = backwards.map(|group| again.of(&name, group));
        others.reverse();
        assert_eq!(others, numbers);
    }

    #[test]
    fn a_number_that_is_taken_is_not_given_twice() {
        let mut ids = Ids::default();
        let group = Group { port: 80, protocol: Protocol::Tcp, ipv6: false, external: false };
        let (a, b): (ServiceName, ServiceName) =
            ("a/a".parse().expect("name"), "b/b".parse().expect("name"));
        let id = Ids::default().of(&a, group);
        ids.owners.insert(id, (b.clone(), group));
        let other = ids.of(&a, group);
        assert_eq!((other, ids.of(&a, group)), (id.wrapping_add(1), other));
        ids.release(id);
        assert!(!ids.owners.contains_key(&id));
    }
}
