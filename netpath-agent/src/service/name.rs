//! Names of Services.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "service name {0:?} is not valid: expected namespace/name, each 1 to 63 of lowercase letters, digits, '.' and '-', starting and ending with a letter or digit"
)]
pub struct BadName(String);

/// The name of a Service, `namespace/name`, unique in the cluster. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the slash, and what behind it.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        // There is one slash: it was checked on entry.
        self.0.split_once('/').unwrap_or(("", &self.0))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_label(name) => {
                Ok(Self(text.into()))
            }
            _ => Err(BadName(text)),
        }
    }
}

fn is_label(text: &str) -> bool {
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    matches!(text.len(), 1..=63)
        && text.starts_with(end)
        && text.ends_with(end)
        && text.chars().all(|c| end(c) || matches!(c, '.' | '-'))
}

impl FromStr for ServiceName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_parts() {
        for good in ["default/web", "kube-system/kube-dns", "a/b.c-0"] {
            let name: ServiceName = good.parse().expect(good);
            assert_eq!(name.to_string(), good);
        }
        let name: ServiceName = "default/web".parse().expect("name");
        assert_eq!(name.parts(), ("default", "web"));
        let long = format!("a/{}", "b".repeat(64));
        for bad in ["", "web", "/web", "default/", "a/b/c", "Default/web", "a/-b", "a/b ", &long] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }
}
