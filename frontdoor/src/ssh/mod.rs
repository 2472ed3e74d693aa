//! The SSH side. A connection lives on one worker: its russh session, its channels' tasks, and the
//! streams to agents that they open.

mod admit;
mod channel;
mod channels;
mod connection;
mod handler;
pub(crate) mod hostkeys;
mod id;
mod idle;
mod jump;
mod open;
mod proxied;
mod proxy_protocol;
mod pump;
mod recheck;
mod reserved;
mod settings;
mod socket;
mod tunnel;

pub(crate) use admit::{Accepted, admit};
pub(crate) use connection::{Worker, serve};
pub(crate) use settings::{WINDOW_BY_CONSUMPTION, settings};
