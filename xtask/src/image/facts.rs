//! What an image says of where it comes from.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;
use crate::workspace::Workspace;

/// The variable by which reproducible builds are told a time.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// An image's origin.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) version: String,
    /// The commit; none outside of a repository.
    pub(super) revision: Option<String>,
    /// Seconds since 1970.
    pub(super) epoch: u64,
}

impl Facts {
    pub(super) fn gather(workspace: &Workspace) -> Result<Self> {
        let git = |words: &[&str]| {
            let mut git = Command::new("git");
            let output = command::output(git.current_dir(&workspace.root).args(words)).ok()?;
            Some(output.trim().to_owned())
        };
        let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        let mark = if changed { "-dirty" } else { "" };
        let revision = git(&["rev-parse", "HEAD"]).map(|commit| format!("{commit}{mark}"));
        let epoch = env::var(EPOCH).ok().or_else(|| git(&["log", "-1", "--format=%ct"]));
        let epoch = epoch.with_context(|| {
            format!("no commit tells the image's time; set {EPOCH} to seconds since 1970")
        })?;
        let epoch = epoch
            .parse()
            .with_context(|| format!("{EPOCH}={epoch}: expected seconds since 1970"))?;
        // All members of the workspace have its version.
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), revision, epoch })
    }

    /// The time of the image, as RFC 3339 writes it.
    pub(super) fn created(&self) -> String {
        let (days, seconds) = (self.epoch / 86_400, self.epoch % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// The annotations of the OCI, which are labels as well.
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        let Self { version, revision, epoch: _ } = self;
        let mut known = vec![
            ("title", "netpath".to_owned()),
            (
                "description",
                "The node dataplane of Kubernetes clusters on underlay networks".into(),
            ),
            ("version", version.clone()),
            ("licenses", "(MIT OR Apache-2.0) AND GPL-2.0-only".to_owned()),
            ("created", self.created()),
        ];
        known.extend(revision.iter().map(|revision| ("revision", revision.clone())));
        let annotation = |(key, value)| (format!("org.opencontainers.image.{key}"), value);
        known.into_iter().map(annotation).collect()
    }
}

/// Year, month and day of a day since 1970, by whole cycles of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_everybody_does() {
        let created = |epoch| Facts { version: String::new(), revision: None, epoch }.created();
        for (epoch, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_974_305, "2026-11-29T17:45:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(created(epoch), text);
        }
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let facts = Facts { version: "1.2.3".to_owned(), revision: None, epoch: 0 };
        let annotations = facts.annotations();
        assert_eq!(annotations["org.opencontainers.image.version"], "1.2.3");
        assert!(!annotations.contains_key("org.opencontainers.image.revision"));
    }
}
