//! Names in Kubernetes.

use crate::hash::fnv1a;

/// Characters that a label's value can have.
const LABEL: usize = 63;

/// Whether an object can be called so: a DNS subdomain (RFC 1123).
pub(super) fn is_name(text: &str) -> bool {
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(end) && label.ends_with(end) && label.chars().all(|c| end(c) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// An object's name as the value of a label, by which others are then listed. A name is up to 253
/// characters long and a value 63: what is longer is cut, and told apart by a hash.
#[must_use]
pub fn label_value(name: &str) -> String {
    match name.get(..LABEL - 17) {
        Some(start) if name.len() > LABEL => format!("{start}.{:016x}", fnv1a(name.as_bytes())),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_subdomains() {
        for good in ["a", "pods-4", "node-1.example.com", "0"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a.", ".a", "a..b", "-a", "a-", "A", "a_b", "a/b", &"a".repeat(254)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn long_names_make_different_values() {
        let (one, other) = ("a".repeat(64), "a".repeat(65));
        assert_eq!(label_value(&"a".repeat(63)), "a".repeat(63));
        assert_eq!(label_value(&one).len(), LABEL);
        assert_ne!(label_value(&one), label_value(&other));
    }
}
