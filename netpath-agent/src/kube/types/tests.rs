//! What is accepted, what is refused, and what is made of it.

mod cel;
mod convert;
mod definitions;
