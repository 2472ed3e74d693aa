//! What runs programs in the containers of this node, behind one trait. Each runtime is a folder of
//! its own.

mod choice;
mod contract;
pub(crate) mod dialer;
pub(crate) mod direct;
mod error;
pub(crate) mod kubelet;
pub(crate) mod running;
mod trace;

pub(crate) use choice::{Choice, Tried};
pub(crate) use contract::{NotStarted, Record, Runtime, Start, Started};
pub(crate) use error::{Error, START_TIMEOUT};
pub(crate) use running::Running;
pub(crate) use trace::{HangUp, Trace};
