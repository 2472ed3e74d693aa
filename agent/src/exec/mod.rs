//! One exec over SPDY/3.1, sub-protocol v4: its streams, in two halves that live in different
//! tasks. The peer has no flow control but TCP's, so a connection carries one exec alone and is read
//! only as fast as its output is taken, but for what holds up input.

mod ahead;
mod ending;
mod error;
mod frames;
mod input;
mod marker;
mod open;
mod output;
pub(crate) mod port_forward;
mod spdy;
pub(crate) mod status;
mod window;

pub(crate) use ending::Ending;
pub(crate) use error::Error;
pub(crate) use input::Input;
pub(crate) use open::{ends_by, open};
pub(crate) use output::Output;
