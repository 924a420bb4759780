//! What the status of pools and networks should say: by facts of the whole cluster, so that all
//! agents say the same.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt as _, core::object::HasStatus};
use serde::{Serialize, de::DeserializeOwned};

use super::ready::Ready;
use crate::{
    error::chain,
    kube::{
        pools::{Labels, View},
        types::{IPPool, IPPoolStatus, Network, NetworkStatus, Pool, Wiring},
    },
};

/// What is to be said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    ready: Ready,
    /// The object that was judged: another one may be called the same.
    uid: Option<String>,
    /// Its generation.
    generation: Option<i64>,
    /// How many addresses a pool has.
    size: Option<u128>,
}

impl Verdict {
    fn new(object: &impl Resource, ready: Ready) -> Self {
        let generation = object.meta().generation;
        Self { ready, uid: object.uid(), generation, size: None }
    }
}

/// A kind whose objects are judged.
pub(super) trait Judged:
    Resource<DynamicType = ()>
    + HasStatus<Status: Clone + Debug + Default + PartialEq + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Judges all of them, by name.
    fn judge(all: &[Arc<Self>]) -> BTreeMap<String, Verdict>;

    /// The status that follows one, with how many blocks there are if that was counted.
    fn follow(
        before: Self::Status,
        verdict: &Verdict,
        blocks: Option<u32>,
        now: Timestamp,
    ) -> Self::Status;
}

impl Judged for IPPool {
    fn judge(all: &[Arc<Self>]) -> BTreeMap<String, Verdict> {
        // What a node has in its file, or which labels, is no concern of the others.
        let mut view = View::default();
        view.arrange(all, &[], &Labels::new());
        let judge = |object: &Arc<Self>| {
            let (name, pool) = (object.name_any(), Pool::try_from(&**object));
            let ready = match view.bad.get(&name) {
                None => Ready::yes("Valid", "addresses can be handed out"),
                Some(why) if pool.is_ok() => Ready::no("Overlap", why),
                Some(why) => Ready::no("Invalid", why),
            };
            let size = pool.ok().map(|pool| pool.spec.size());
            (name, Verdict { size, ..Verdict::new(&**object, ready) })
        };
        all.iter().map(judge).collect()
    }

    fn follow(
        before: IPPoolStatus,
        verdict: &Verdict,
        blocks: Option<u32>,
        now: Timestamp,
    ) -> IPPoolStatus {
        let Verdict { ready, uid: _, generation, size } = verdict;
        IPPoolStatus {
            conditions: ready.tell(before.conditions, *generation, now),
            blocks: blocks.unwrap_or(before.blocks),
            size: size.map(|size| size.to_string()),
            observed_generation: *generation,
        }
    }
}

impl Judged for Network {
    fn judge(all: &[Arc<Self>]) -> BTreeMap<String, Verdict> {
        let judge = |object: &Arc<Self>| {
            let ready = match Wiring::try_from(&**object) {
                Ok(_) => Ready::yes("Valid", "pods can be attached"),
                Err(invalid) => Ready::no("Invalid", chain(&invalid)),
            };
            (object.name_any(), Verdict::new(&**object, ready))
        };
        all.iter().map(judge).collect()
    }

    fn follow(
        before: NetworkStatus,
        verdict: &Verdict,
        _blocks: Option<u32>,
        now: Timestamp,
    ) -> NetworkStatus {
        let Verdict { ready, uid: _, generation, size: _ } = verdict;
        NetworkStatus {
            conditions: ready.tell(before.conditions, *generation, now),
            observed_generation: *generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> Arc<K> {
        let object = json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "generation": 3}, "spec": spec,
        });
        Arc::new(serde_json::from_value(object).expect(name))
    }

    fn verdicts<K: Judged>(kind: &str, objects: &[(&str, Value)]) -> Vec<String> {
        let all: Vec<_> = objects.iter().map(|(name, spec)| object(kind, name, spec)).collect();
        let shown = |(name, verdict): (&String, &Verdict)| {
            assert_eq!(verdict.generation, Some(3));
            let Ready { is, reason, message } = &verdict.ready;
            format!("{name} {is} {reason} {:?}: {message}", verdict.size)
        };
        K::judge(&all).iter().map(shown).collect()
    }

    #[test]
    fn pools_are_judged_beside_each_other() {
        let found = verdicts::<IPPool>(
            "IPPool",
            &[
                ("a", json!({"subnet": "10.0.0.0/24", "gateway": "10.0.0.1"})),
                (
                    "b",
                    json!({"subnet": "10.0.0.128/25", "nodeSelector": {"matchLabels": {"a": "b"}}}),
                ),
                ("c", json!({"subnet": "10.0.1.1/24"})),
                ("d", json!({"subnet": "fd00::/48"})),
            ],
        );
        let expected = [
            "a true Valid Some(253): addresses can be handed out",
            "b false Overlap Some(126): 10.0.0.129 is in pool a too; give the two pools different ranges",
            "c false Invalid None: spec.subnet: 10.0.1.1/24 has bits set behind its length; write 10.0.1.0/24",
            "d true Valid Some(1208925819614629174706175): addresses can be handed out",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn networks_are_judged_by_themselves() {
        let found = verdicts::<Network>(
            "Network",
            &[("a", json!({"attachment": "macvlan"})), ("b", json!({"attachment": "bridge"}))],
        );
        assert_eq!(found[0], "a true Valid None: pods can be attached");
        assert!(
            found[1].starts_with("b false Invalid None: spec.attachment: \"bridge\""),
            "{found:?}"
        );
    }

    #[test]
    fn blocks_stay_unless_they_were_counted() {
        let (ready, now) = (Ready::yes("Valid", ""), Timestamp::UNIX_EPOCH);
        let verdict = Verdict { ready, uid: None, generation: Some(1), size: Some(1) };
        let blocks = |blocks| {
            let before = IPPoolStatus { blocks: 7, ..IPPoolStatus::default() };
            IPPool::follow(before, &verdict, blocks, now).blocks
        };
        assert_eq!((blocks(None), blocks(Some(0))), (7, 0));
    }
}
