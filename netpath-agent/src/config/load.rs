//! From a file to a checked `Config`.

use std::{fs, ops::Range, path::Path};

use super::{Config, Error};

impl Config {
    /// Reads and checks a file.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(file)
            .map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Self::parse(file, &text)
    }

    /// Parses and checks the text of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span());
            Error::Parse {
                file: file.to_owned(),
                line,
                column,
                message: error.message().replace('\n', ", "),
            }
        })?;
        config.check().map_err(|(field, problem)| Error::Invalid {
            file: file.to_owned(),
            field,
            problem,
        })?;
        Ok(config)
    }
}

/// Line and column, both from 1, of the start of a span.
fn position(text: &str, span: Option<Range<usize>>) -> (usize, usize) {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
