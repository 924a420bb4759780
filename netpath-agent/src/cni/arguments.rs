//! `CNI_ARGS`: pairs of keys and values that runtimes pass by the environment.

use std::{collections::HashSet, net::IpAddr};

use super::{Error, config};
use crate::pod::PodName;

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The pod, in Kubernetes.
    pub(super) pod: Option<PodName>,
    /// The addresses that are asked for.
    pub(super) addresses: Vec<IpAddr>,
}

impl Arguments {
    /// Reads `KEY=VALUE;KEY=VALUE`. A key that nobody knows is an error unless `IgnoreUnknown` is
    /// set, as in the reference plugins.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut arguments = Self::default();
        let (mut namespace, mut name, mut uid) = (None, None, None);
        let (mut ignore, mut unknown) = (false, None);
        let mut seen = HashSet::new();
        for pair in text.split(';').filter(|_| !text.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                invalid(format!("{:?} is no pair; expected KEY=VALUE", config::shorten(pair)))
            })?;
            if !seen.insert(key) {
                return Err(invalid(format!("{:?} is given twice", config::shorten(key))));
            }
            match key {
                "IgnoreUnknown" => ignore = boolean(value)?,
                "K8S_POD_NAMESPACE" => namespace = Some(identifier(key, value)?),
                "K8S_POD_NAME" => name = Some(identifier(key, value)?),
                "K8S_POD_UID" => uid = Some(identifier(key, value)?),
                "K8S_POD_INFRA_CONTAINER_ID" => drop(identifier(key, value)?),
                "IP" => arguments.addresses = addresses(value)?,
                _ => unknown = Some(key),
            }
        }
        if let (Some(key), false) = (unknown, ignore) {
            return Err(invalid(format!(
                "{:?} is not known; leave it out or add IgnoreUnknown=true",
                config::shorten(key)
            )));
        }
        // podman gives every container a name, and no namespace: that is no pod of Kubernetes.
        arguments.pod =
            namespace.zip(name).map(|(namespace, name)| PodName { namespace, name, uid });
        Ok(arguments)
    }
}

fn invalid(problem: String) -> Error {
    Error::Environment { variable: "CNI_ARGS", problem }
}

/// As the reference plugins read it.
fn boolean(value: &str) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(invalid(format!(
            "IgnoreUnknown={:?} is neither true nor false",
            config::shorten(value)
        ))),
    }
}

fn identifier(key: &str, value: &str) -> Result<String, Error> {
    if config::is_identifier(value) {
        Ok(value.to_owned())
    } else {
        Err(invalid(format!("{key}={:?} is no name of Kubernetes", config::shorten(value))))
    }
}

fn addresses(value: &str) -> Result<Vec<IpAddr>, Error> {
    value
        .split(',')
        .map(|text| {
            config::address(text).ok_or_else(|| {
                let text = config::shorten(text);
                invalid(format!("IP={text:?} is no address; expected one such as 10.0.1.5"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_says_who_the_pod_is() {
        let text = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;\
                    K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1;IP=10.0.0.5,fd00::5/64;X=y=z";
        let arguments = Arguments::parse(text).expect("arguments");
        let pod = PodName {
            namespace: "default".to_owned(),
            name: "web-0".to_owned(),
            uid: Some("u-1".to_owned()),
        };
        let addresses = ["10.0.0.5", "fd00::5"].map(|text| text.parse().expect("address"));
        assert_eq!(arguments, Arguments { pod: Some(pod), addresses: addresses.to_vec() });
        for nobody in ["", "IgnoreUnknown=1;K8S_POD_NAME=a"] {
            assert_eq!(Arguments::parse(nobody).expect(nobody), Arguments::default());
        }
    }

    #[test]
    fn garbage_is_told_from_pairs() {
        for bad in [";", "a", "A=b", "IgnoreUnknown=maybe", "IP=", "IP=1.2.3"] {
            let error = Arguments::parse(bad).expect_err(bad);
            assert_eq!(error.code(), 4, "{bad}: {error}");
        }
    }
}
