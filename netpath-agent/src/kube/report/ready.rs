//! Whether something can be used, as Kubernetes tells it: a condition of the type Ready.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The condition's type.
const READY: &str = "Ready";

/// Whether something can be used, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whether it can.
    pub is: bool,
    /// Why, in one word for programs: `CamelCase`.
    pub reason: &'static str,
    /// The same in a sentence.
    pub message: String,
}

impl Ready {
    /// It can be used.
    #[must_use]
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is: true, reason, message: message.into() }
    }

    /// It can not be used.
    #[must_use]
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is: false, reason, message: message.into() }
    }

    /// Conditions that say this, of a generation. Others than Ready stay, and so does the time since
    /// when it is so or not.
    pub(in crate::kube) fn tell(
        &self,
        mut conditions: Vec<Condition>,
        generation: Option<i64>,
        now: Timestamp,
    ) -> Vec<Condition> {
        let mut condition = self.condition(generation, Time(now));
        match conditions.iter_mut().find(|condition| condition.type_ == READY) {
            Some(before) => {
                if before.status == condition.status {
                    condition.last_transition_time = before.last_transition_time.clone();
                }
                *before = condition;
            }
            None => conditions.push(condition),
        }
        conditions
    }

    fn condition(&self, observed_generation: Option<i64>, since: Time) -> Condition {
        Condition {
            type_: READY.to_owned(),
            status: if self.is { "True" } else { "False" }.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            observed_generation,
            last_transition_time: since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_time_stays_while_the_status_does() {
        let good = Ready::yes("Valid", "fine");
        let first = good.tell(Vec::new(), Some(1), at(10));
        let shown = serde_json::to_value(&first).expect("JSON");
        let expected = serde_json::json!([{
            "type": "Ready", "status": "True", "reason": "Valid", "message": "fine",
            "observedGeneration": 1, "lastTransitionTime": "1970-01-01T00:00:10Z",
        }]);
        assert_eq!(shown, expected);
        assert_eq!(good.tell(first.clone(), Some(1), at(15)), first);

        let still = Ready::yes("Valid", "finer").tell(first, Some(2), at(20));
        assert_eq!(still[0].last_transition_time, Time(at(10)));
        assert_eq!((still[0].message.as_str(), still[0].observed_generation), ("finer", Some(2)));
        let bad = Ready::no("Invalid", "broken").tell(still, Some(3), at(30));
        assert_eq!(
            (bad[0].status.as_str(), &bad[0].last_transition_time),
            ("False", &Time(at(30)))
        );
    }

    #[test]
    fn conditions_of_others_stay() {
        let ready = Ready::yes("Valid", "").tell(Vec::new(), None, at(1)).remove(0);
        let other = Condition { type_: "Other".to_owned(), ..ready.clone() };
        let all = Ready::no("Invalid", "").tell(vec![ready, other.clone()], None, at(2));
        assert_eq!((all.len(), &all[1]), (2, &other));
    }
}
