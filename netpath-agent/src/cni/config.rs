//! The network's configuration. Each verb reads the keys that it needs: a key that only an addition
//! reads must not keep a container from being removed.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Error, environment::Environment, ipam::Ipam, result::Answer};
use crate::{
    attachment::Attachment,
    config::Agent,
    name::InterfaceName,
    pod::{Bandwidth, PodRoute},
    route::Table,
};

/// Bytes of the longest identifier: what fits into a file's name, which runtimes make of it.
pub(super) const IDENTIFIER: usize = 255;

/// Bytes of a socket's path, the zero at the end not counted (`unix(7)`).
const SOCKET: usize = 107;

/// What every verb needs.
#[derive(Debug, Deserialize)]
pub(super) struct Network {
    /// The network's name.
    pub(super) name: String,
    #[serde(rename = "type")]
    plugin: String,
    socket: Option<PathBuf>,
    ipam: Option<Delegation>,
}

#[derive(Debug, Deserialize)]
struct Delegation {
    #[serde(rename = "type")]
    plugin: Option<String>,
}

/// What an addition needs besides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    /// The Network of the cluster that says how the pod is attached.
    pub(super) network: Option<String>,
    /// The parent to sit on.
    pub(super) parent: Option<InterfaceName>,
    /// How the pod is wired.
    pub(super) attachment: Option<Attachment>,
    /// The pools to take addresses from.
    #[serde(default)]
    pub(super) pools: Vec<String>,
    /// The route table that is asked before the main one.
    #[serde(default)]
    pub(super) table: Table,
    /// The interface's MTU in bytes.
    pub(super) mtu: Option<u32>,
    /// Whether default routes are made.
    pub(super) default_route: Option<bool>,
    #[serde(default)]
    routes: Vec<Route>,
    /// Whether the pod keeps its addresses when it is made anew.
    #[serde(default)]
    pub(super) fixed_owner: bool,
    /// What the runtime adds for this container.
    #[serde(default)]
    pub(super) runtime_config: RuntimeConfig,
    /// Passed on to the runtime.
    pub(super) dns: Option<Map<String, Value>>,
    /// What plugins before us in the chain have made.
    pub(super) prev_result: Option<Answer>,
    // Keys of the reference ipvlan and macvlan plugins, whose silent loss would surprise.
    master: Option<Value>,
    mode: Option<Value>,
    ip_masq: Option<Value>,
}

/// What the runtime adds, by capability.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RuntimeConfig {
    #[serde(default)]
    ips: Vec<String>,
    /// Limits.
    pub(super) bandwidth: Option<Bandwidth>,
    mac: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Route {
    dst: IpNet,
    gw: Option<IpAddr>,
    mtu: Option<u32>,
    priority: Option<u32>,
}

/// What a check needs besides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Previous {
    /// What the runtime believes.
    pub(super) prev_result: Option<Answer>,
    /// The parent to sit on.
    pub(super) parent: Option<InterfaceName>,
    /// The interface's MTU in bytes.
    pub(super) mtu: Option<u32>,
}

/// What a collection needs besides.
#[derive(Debug, Deserialize)]
pub(super) struct Valid {
    /// What the runtime still has.
    #[serde(rename = "cni.dev/valid-attachments")]
    pub(super) attachments: Vec<ValidAttachment>,
}

/// An attachment that the runtime still has.
#[derive(Debug, Deserialize)]
pub(super) struct ValidAttachment {
    /// The container.
    #[serde(rename = "containerID")]
    pub(super) container: String,
    /// Its interface.
    #[serde(rename = "ifname")]
    pub(super) interface: InterfaceName,
}

/// Reads some keys. What is no JSON is told apart from what is of a wrong type.
pub(super) fn read<T: DeserializeOwned>(config: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(config);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        if cause.is_data() {
            let key = if path == "." { "keys".to_owned() } else { path };
            invalid(&key, cause.to_string())
        } else {
            Error::Decode(cause)
        }
    })
}

/// An error about a key.
pub(super) fn invalid(key: &str, problem: impl Into<String>) -> Error {
    Error::Config { key: shorten(key), problem: problem.into() }
}

impl Network {
    /// Checks what serde does not.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { name, plugin, socket, ipam } = self;
        if !is_identifier(name) {
            let problem = format!(
                "{:?} is not valid; expected up to {IDENTIFIER} letters, digits, '_', '.' and \
                 '-', starting with a letter or digit",
                shorten(name)
            );
            return Err(invalid("name", problem));
        }
        if !is_program(plugin) {
            return Err(invalid("type", no_program(plugin)));
        }
        if let Some(socket) = socket
            && (!socket.is_absolute() || socket.as_os_str().len() > SOCKET)
        {
            let socket = shorten(&socket.to_string_lossy());
            let problem = format!("{socket:?} is not a whole path of up to {SOCKET} bytes");
            return Err(invalid("socket", problem));
        }
        match ipam.as_ref().and_then(|ipam| ipam.plugin.as_deref()) {
            Some(plugin) if !is_program(plugin) => Err(invalid("ipam.type", no_program(plugin))),
            _ => Ok(()),
        }
    }

    /// The agent's socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| Agent::default().socket)
    }

    /// The plugin that chooses addresses, if the agent does not.
    pub(super) fn ipam(&self, environment: &Environment<'_>) -> Result<Option<Ipam>, Error> {
        match self.ipam.as_ref().and_then(|ipam| ipam.plugin.as_deref()) {
            None | Some("netpath") => Ok(None),
            Some(plugin) => Ipam::find(plugin, &environment.path()).map(Some),
        }
    }
}

impl Settings {
    /// Checks what serde does not.
    pub(super) fn check(&self) -> Result<(), Error> {
        let unsupported = [
            ("master", &self.master, "name the interface by \"parent\""),
            ("ipMasq", &self.ip_masq, "pods use their own addresses everywhere; leave it out"),
            (
                "mode",
                &self.mode,
                "write attachment, such as macvlan; how siblings are switched is the parent's",
            ),
            (
                "runtimeConfig.mac",
                &self.runtime_config.mac,
                "an interface has its parent's address, or one that follows from its IP address; do not ask for another",
            ),
        ];
        for (key, value, hint) in unsupported {
            match value {
                None | Some(Value::Bool(false)) => {}
                Some(value) if key == "mode" && value == "l2" => {}
                Some(value) => {
                    let value = shorten(&value.to_string());
                    return Err(Error::Unsupported { key, value, hint });
                }
            }
        }
        match self.mtu {
            Some(mtu) if !(68..=65_535).contains(&mtu) => {
                Err(invalid("mtu", format!("{mtu} is out of range; expected 68 to 65535")))
            }
            _ if self.pools.iter().any(String::is_empty) => {
                Err(invalid("pools", "one of them has no name"))
            }
            _ => Ok(()),
        }
    }

    /// The routes to make.
    pub(super) fn routes(&self) -> Result<Vec<PodRoute>, Error> {
        self.routes.iter().map(Route::checked).collect()
    }
}

impl Route {
    fn checked(&self) -> Result<PodRoute, Error> {
        let Self { dst, gw, mtu, priority } = *self;
        if dst != dst.trunc() {
            let problem = format!("{dst} has bits behind its length; write {}", dst.trunc());
            return Err(invalid("routes.dst", problem));
        }
        if let Some(gw) = gw
            && gw.is_ipv4() != dst.addr().is_ipv4()
        {
            let problem = format!("{gw} is not of the family of {dst}");
            return Err(invalid("routes.gw", problem));
        }
        Ok(PodRoute { destination: dst, gateway: gw, mtu, priority })
    }
}

impl RuntimeConfig {
    /// The addresses that the runtime asks for.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, Error> {
        let no_address = |text: &str| {
            let problem =
                format!("{:?} is no address; expected one such as 10.0.1.5/24", shorten(text));
            invalid("runtimeConfig.ips", problem)
        };
        self.ips.iter().map(|text| address(text).ok_or_else(|| no_address(text))).collect()
    }
}

/// An address, with or without the length of its subnet.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()))
}

/// Whether a text is what the specification takes for containers and networks.
pub(super) fn is_identifier(text: &str) -> bool {
    let tail = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.len() <= IDENTIFIER
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(tail)
}

/// Whether a text can be a program's name in a folder of plugins.
fn is_program(text: &str) -> bool {
    let name = Path::new(text).file_name().is_some_and(|name| name == text);
    name && text.len() <= IDENTIFIER && !text.contains(char::is_control)
}

fn no_program(text: &str) -> String {
    format!("{:?} is no plugin's name; expected a program's file name", shorten(text))
}

/// As much of a text as a message bears.
pub(super) fn shorten(text: &str) -> String {
    const LENGTH: usize = 100;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
