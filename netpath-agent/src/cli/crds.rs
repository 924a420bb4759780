//! `netpath-agent crds`: the definitions of netpath's custom resources.

use std::{fs, io, path::PathBuf};

use clap::Args;

use super::print;
use crate::kube::types;

/// Where the definitions go.
#[derive(Debug, Args)]
pub(super) struct Crds {
    /// A folder to write them to, a file each, instead of printing them.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The definitions can not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Not as YAML.
    #[error("the definitions can not be written as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// Not there.
    #[error("{}: can not be written", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Crds {
    /// Prints or writes them.
    pub(super) fn run(self) -> Result<(), Error> {
        let Self { out } = self;
        let files = types::files()?;
        let Some(folder) = out else {
            let texts: Vec<_> = files.into_iter().map(|file| file.text).collect();
            print(&texts.join("---\n"));
            return Ok(());
        };
        for types::File { name, text } in files {
            let file = folder.join(name);
            fs::write(&file, text).map_err(|source| Error::Write { file: file.clone(), source })?;
            print(&format!("wrote {}\n", file.display()));
        }
        Ok(())
    }
}
