//! The node entry's client: it has programs started in containers, and holds them until they are
//! released. It knows no session. One connection serves all cores; it is made anew when it is lost.

mod client;
mod connection;
mod error;
mod held;
mod launcher;
mod program;

pub(crate) use client::{NodeEntry, sealed};
pub(crate) use error::{Error, Reason};
pub(crate) use launcher::Launcher;
pub(crate) use program::{End, Program};

#[cfg(test)]
mod tests;
