//! The SSH side. A connection lives on one core: its russh session, its channels' tasks, and the streams
//! to agents that they open.

mod admit;
mod agent_messages;
mod auth;
mod channels;
mod clear_text;
mod client;
mod connection;
mod context;
mod destination;
mod end;
mod forward;
mod gate;
mod grace;
pub(crate) mod greetings;
mod handler;
mod host_identity;
pub(crate) mod hostkeys;
mod id;
mod idle;
mod jump;
mod open;
mod pre_auth_stream;
mod pre_auth_turns;
mod proxied;
mod proxy_protocol;
mod pump;
mod recheck;
mod recordings;
mod rekeys;
mod request;
mod reserved;
mod scp;
mod session;
mod settings;
mod socket;
mod tunnel;

pub(crate) use admit::{Accepted, admit};
pub(crate) use connection::serve;
pub(crate) use context::Context;
pub(crate) use greetings::Greetings;
pub(crate) use host_identity::{Error as HostCertificateError, HostIdentity};
pub(crate) use pre_auth_turns::{PreAuthTime, PreAuthTurns};
pub(crate) use settings::WINDOW_BY_CONSUMPTION;
