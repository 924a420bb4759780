//! Addresses of interfaces.

mod add;
mod list;

pub use self::list::HostAddress;
