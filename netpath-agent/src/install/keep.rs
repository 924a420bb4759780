//! Keeping in place what was put in place.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time;

use super::{Conflist, Error, Places};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// What a file looked like, by which a change is seen without reading it.
type Look = Option<(u64, u64, i64, i64)>;

/// Puts back what somebody removes or changes, and tells; for as long as that can be done.
pub async fn keep(
    conflist: &Conflist,
    places: &Places,
    tell: impl Fn(&Path),
) -> Result<Infallible, Error> {
    let mut kept = Kept::new(conflist, places)?;
    loop {
        time::sleep(PERIOD).await;
        for file in kept.put_back()? {
            tell(&file);
        }
    }
}

/// What is in place, as it was left.
pub(super) struct Kept<'a> {
    conflist: &'a Conflist,
    places: &'a Places,
    looks: [Look; 2],
}

impl<'a> Kept<'a> {
    pub(super) fn new(conflist: &'a Conflist, places: &'a Places) -> Result<Self, Error> {
        Ok(Self { conflist, places, looks: places.look()? })
    }

    /// Puts back what is not as it was left, and returns the files.
    pub(super) fn put_back(&mut self) -> Result<Vec<PathBuf>, Error> {
        let found = self.places.look()?;
        let differs = [0, 1].map(|index| found[index] != self.looks[index]);
        if differs[0] {
            self.places.put_plugin()?;
        }
        if differs[1] {
            self.places.put_conflist(self.conflist)?;
        }
        self.looks = self.places.look()?;
        let files = self.places.files().into_iter().zip(differs);
        Ok(files.filter_map(|(file, differs)| differs.then_some(file)).collect())
    }
}

impl Places {
    fn look(&self) -> Result<[Look; 2], Error> {
        let [plugin, list] = self.files();
        Ok([look(&plugin)?, look(&list)?])
    }
}

fn look(path: &Path) -> Result<Look, Error> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "read", path: path.to_owned(), source }),
    }
}
