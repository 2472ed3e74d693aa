//! The starter: it has all capabilities, no filter and no no-new-privileges, since what it starts
//! inherits all of that. It listens to the front alone.

mod console;
mod context;
mod counts;
mod fresh;
mod hangups;
mod image;
mod journal;
pub(crate) mod options;
mod outbox;
mod privileges;
mod programs;
mod reaper;
mod scratch;
pub(crate) mod server;
mod session;
mod signals;
mod start;
mod survey;
mod told;

pub(crate) use counts::Most;
