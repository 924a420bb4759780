//! A table of `nf_tables` that is ours: `inet netpath`, as much of it as masquerading takes.
//!
//! ```text
//! table inet netpath {
//!     comment "netpath"
//!     set parents { type iface_index; ... }
//!     set from-100-ipv4 { type ipv4_addr; ... }
//!     set vpc-100-ipv4 { type ipv4_addr; flags interval; ... }
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat; policy accept;
//!         meta nfproto ipv4 meta oif @parents ip saddr @from-100-ipv4 ip daddr != @vpc-100-ipv4
//!             masquerade comment "table 100, ipv4"
//!     }
//! }
//! ```
//!
//! Numbers are those of `linux/netfilter/nf_tables.h`. Minimum kernel: 5.2 for nat in family inet, 5.10
//! for a table's comment, which is our mark.

mod batch;
mod read;
mod rule;
mod set;

use std::{collections::BTreeMap, io};

use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::SndBufForce},
};
use rtnetlink::sys::Socket;

pub use self::{
    read::Found,
    rule::Rule,
    set::{Element, Kind, Set},
};
use super::{
    attribute::{be32, inside},
    message::{DONE, DUMP, ERROR, REQUEST, message, messages},
};

/// `NFPROTO_INET`: both families.
const INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;

/// The type of a message, by its number within the subsystem.
const fn kind(number: u8) -> u16 {
    SUBSYSTEM << 8 | number as u16
}

/// The table, its mark, and its chain.
const TABLE: &str = "netpath";
const MARK: &str = "netpath";
const CHAIN: &str = "postrouting";

/// The bytes that a socket may send at once unless more are asked for (`net.core.wmem_default`), with
/// room for what the kernel adds.
const USUAL: usize = 128 << 10;

/// What should be in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The sets, by name.
    pub sets: BTreeMap<String, Set>,
    /// The rules of the chain, in its order.
    pub rules: Vec<Rule>,
}

/// A socket of `nf_tables` in one network namespace. After an error it is of no more use: the rest of an
/// answer may be in it.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
    answer: Vec<u8>,
}

impl Nftables {
    /// Opens one in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let socket = super::socket()?;
        // Errors without the message that they are about.
        socket.set_cap_ack(true)?;
        Ok(Self { socket, answer: Vec::with_capacity(64 << 10) })
    }

    /// The number of the last change of any table in the namespace: as long as it is the same, so is
    /// ours.
    pub fn generation(&mut self) -> io::Result<u32> {
        const GET: u16 = kind(16);
        const ID: u16 = 1;
        let mut id = None;
        self.ask(&message(GET, REQUEST, 0, &[]), |attributes| {
            id = inside(attributes, ID).map(be32);
        })?;
        id.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Makes the table this one, whatever it was, in one transaction: no packet sees it incomplete.
    pub fn replace(&mut self, table: &Table) -> io::Result<()> {
        self.commit(&batch::replace(table))
    }

    /// Removes the table.
    pub fn remove(&mut self) -> io::Result<()> {
        self.commit(&batch::remove())
    }

    /// Puts elements into sets that are there. Those that are there already are no error.
    pub fn add(&mut self, elements: &BTreeMap<String, Set>) -> io::Result<()> {
        self.commit(&batch::add(elements))
    }

    /// Takes elements out of sets, if all of them are there.
    pub fn delete(&mut self, elements: &BTreeMap<String, Set>) -> io::Result<()> {
        self.commit(&batch::delete(elements))
    }

    /// Sends a transaction: the kernel does all of it or nothing.
    fn commit(&mut self, batch: &[u8]) -> io::Result<()> {
        if batch.len() > USUAL {
            setsockopt(&self.socket, SndBufForce, &(2 * batch.len()))?;
        }
        self.socket.send(batch, 0)?;
        // It is done before `send` returns, and only errors are told.
        let mut first = Ok(());
        while self.receive(libc::MSG_DONTWAIT)? {
            for message in messages(&self.answer) {
                first = first.and(message.attributes().map(drop));
            }
        }
        first
    }

    /// Asks for one object.
    fn ask(&mut self, question: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.socket.send(question, 0)?;
        self.receive(0)?;
        let answer = messages(&self.answer).next().ok_or(io::ErrorKind::UnexpectedEof)?;
        take(answer.attributes()?);
        Ok(())
    }

    /// Asks for all objects of a kind.
    fn dump(&mut self, kind: u16, own: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.socket.send(&message(kind, REQUEST | DUMP, INET, own), 0)?;
        loop {
            self.receive(0)?;
            for message in messages(&self.answer) {
                match message.kind {
                    DONE => return Ok(()),
                    ERROR => return message.attributes().map(drop),
                    _ => take(message.attributes()?),
                }
            }
        }
    }

    /// Reads a datagram, if there is one.
    fn receive(&mut self, flags: libc::c_int) -> io::Result<bool> {
        self.answer.clear();
        match self.socket.recv(&mut self.answer, flags) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
