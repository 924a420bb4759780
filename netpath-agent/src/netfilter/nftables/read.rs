//! What is in the table, as far as it is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use nix::libc;

use super::{
    super::{
        attribute::{attributes, inside, read_text, text},
        message::{REQUEST, message},
    },
    CHAIN, Element, INET, MARK, Nftables, TABLE, Table, kind,
};

const GET_TABLE: u16 = kind(1);
const GET_CHAIN: u16 = kind(4);
const GET_RULE: u16 = kind(7);
const GET_SET: u16 = kind(10);
const GET_ELEMENTS: u16 = kind(13);

const USER_DATA_OF_TABLE: u16 = 6;
const USER_DATA_OF_RULE: u16 = 7;
const HOOK_OF_CHAIN: u16 = 4;
const NAME: u16 = 2;
const ELEMENTS: u16 = 3;

/// A table that was found by our name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// It bears our mark.
    pub ours: bool,
    /// Its chain is there, at a hook.
    hooked: bool,
    sets: BTreeMap<String, BTreeSet<Element>>,
    /// The comments of the rules. What a rule does can not change while it keeps its comment.
    rules: Vec<String>,
}

impl Found {
    /// Whether it is as it should be.
    #[must_use]
    pub fn is(&self, table: &Table) -> bool {
        let Self { ours, hooked, sets, rules } = self;
        *ours
            && *hooked
            && sets.iter().eq(table.sets.iter().map(|(name, set)| (name, &set.elements)))
            && rules.iter().eq(table.rules.iter().map(|rule| &rule.comment))
    }
}

impl Nftables {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Interrupted`] if somebody changed a table meanwhile: what was read may be half of
    /// either. The kernel says so between the parts of an answer only.
    pub fn read(&mut self) -> io::Result<Option<Found>> {
        let before = self.generation()?;
        let found = self.read_parts()?;
        if self.generation()? == before {
            Ok(found)
        } else {
            Err(io::ErrorKind::Interrupted.into())
        }
    }

    fn read_parts(&mut self) -> io::Result<Option<Found>> {
        let mut found = Found::default();
        let table = text(1, TABLE);
        let read = self.ask(&message(GET_TABLE, REQUEST, INET, &table), |attributes| {
            found.ours = comment(inside(attributes, USER_DATA_OF_TABLE)) == MARK;
        });
        if is_missing(&read) {
            return Ok(None);
        }
        read?;
        let chain = [table.clone(), text(3, CHAIN)].concat();
        let read = self.ask(&message(GET_CHAIN, REQUEST, INET, &chain), |attributes| {
            found.hooked = inside(attributes, HOOK_OF_CHAIN).is_some();
        });
        if !is_missing(&read) {
            read?;
        }
        self.dump(GET_RULE, &table, |attributes| {
            found.rules.push(comment(inside(attributes, USER_DATA_OF_RULE)));
        })?;
        let mut names = Vec::new();
        self.dump(GET_SET, &table, |attributes| names.push(read_text(inside(attributes, NAME))))?;
        for name in names {
            let set = [table.clone(), text(NAME, &name)].concat();
            let mut elements = BTreeSet::new();
            self.dump(GET_ELEMENTS, &set, |found| {
                let list = inside(found, ELEMENTS).unwrap_or_default();
                elements.extend(attributes(list).filter_map(|(_, one)| Element::read(one)));
            })?;
            found.sets.insert(name, elements);
        }
        Ok(Some(found))
    }
}

fn is_missing(read: &io::Result<()>) -> bool {
    matches!(read, Err(error) if error.raw_os_error() == Some(libc::ENOENT))
}

/// A comment that stands at the start of user data.
fn comment(data: Option<&[u8]>) -> String {
    match data {
        Some([0, length, rest @ ..]) => read_text(rest.get(..usize::from(*length))),
        _ => String::new(),
    }
}
