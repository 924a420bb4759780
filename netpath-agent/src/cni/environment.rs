//! The environment variables that name the verb and its object.

use std::{ffi::OsString, fmt, path::PathBuf};

use super::{Error, arguments::Arguments, config};
use crate::{name::InterfaceName, pod::PodId};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Attach a container.
    Add,
    /// Detach it.
    Del,
    /// See whether it is still as it was.
    Check,
    /// Remove what the runtime does not have any more.
    Gc,
    /// Tell whether containers can be attached.
    Status,
    /// Tell the versions.
    Version,
}

impl Verb {
    const ALL: [Self; 6] =
        [Self::Add, Self::Del, Self::Check, Self::Gc, Self::Status, Self::Version];

    /// As the environment writes it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What a verb is about.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    /// `CNI_CONTAINERID`.
    pub(super) container: String,
    /// `CNI_IFNAME`.
    pub(super) interface: InterfaceName,
    /// `CNI_NETNS`, which a removal may be without.
    pub(super) netns: Option<PathBuf>,
    /// `CNI_ARGS`.
    pub(super) arguments: Arguments,
}

impl Attachment {
    /// Its identity in a network.
    pub(super) fn id(&self, network: &str) -> PodId {
        PodId {
            network: network.to_owned(),
            container: self.container.clone(),
            interface: self.interface.clone(),
        }
    }
}

/// The process's environment, or a test's.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl<'a> Environment<'a> {
    /// Variables by name.
    #[must_use]
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { variable }
    }

    /// The verb.
    pub(super) fn verb(&self) -> Result<Verb, Error> {
        let expected = Verb::ALL.map(Verb::text).join(", ");
        let text = self.text("CNI_COMMAND")?.ok_or_else(|| Error::Environment {
            variable: "CNI_COMMAND",
            problem: format!(
                "is not set; container runtimes start this program with one of {expected}"
            ),
        })?;
        Verb::ALL.into_iter().find(|verb| verb.text() == text).ok_or_else(|| Error::Environment {
            variable: "CNI_COMMAND",
            problem: format!("{:?} is no verb; expected one of {expected}", config::shorten(&text)),
        })
    }

    /// What the verb is about; some are about no container.
    pub(super) fn attachment(&self, verb: Verb) -> Result<Option<Attachment>, Error> {
        match verb {
            Verb::Gc | Verb::Status | Verb::Version => return Ok(None),
            Verb::Add | Verb::Del | Verb::Check => {}
        }
        let container = self.required("CNI_CONTAINERID")?;
        if !config::is_identifier(&container) {
            let problem = format!(
                "{:?} is not valid; expected up to {} letters, digits, '_', '.' and '-', starting \
                 with a letter or digit",
                config::shorten(&container),
                config::IDENTIFIER,
            );
            return Err(Error::Environment { variable: "CNI_CONTAINERID", problem });
        }
        let interface = InterfaceName::try_from(self.required("CNI_IFNAME")?).map_err(|error| {
            Error::Environment { variable: "CNI_IFNAME", problem: error.to_string() }
        })?;
        // What an addition refused must not keep the container from being removed.
        let (netns, arguments) = if verb == Verb::Del {
            (self.text("CNI_NETNS")?, Arguments::default())
        } else {
            let arguments = self.text("CNI_ARGS")?.unwrap_or_default();
            (Some(self.required("CNI_NETNS")?), Arguments::parse(&arguments)?)
        };
        let netns = netns.map(PathBuf::from);
        if let Some(path) = &netns
            && !path.is_absolute()
        {
            let path = path.to_string_lossy();
            let problem = format!("{:?} is relative; give the whole path", config::shorten(&path));
            return Err(Error::Environment { variable: "CNI_NETNS", problem });
        }
        Ok(Some(Attachment { container, interface, netns, arguments }))
    }

    /// The folders to look for plugins in.
    pub(super) fn path(&self) -> OsString {
        (self.variable)("CNI_PATH").unwrap_or_default()
    }

    fn required(&self, variable: &'static str) -> Result<String, Error> {
        let missing = || Error::Environment { variable, problem: "is not set".to_owned() };
        self.text(variable)?.ok_or_else(missing)
    }

    /// Runtimes set what they do not know to nothing.
    fn text(&self, variable: &'static str) -> Result<Option<String>, Error> {
        match (self.variable)(variable).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(_)) => {
                Err(Error::Environment { variable, problem: "is not UTF-8".to_owned() })
            }
        }
    }
}
