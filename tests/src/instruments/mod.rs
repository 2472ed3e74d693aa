//! What tests drive and measure with: clients, terminals, and counts of what is used and what is left.

pub mod bench;
pub mod client;
pub mod clients;
pub mod clock;
pub mod dial;
pub mod direct;
pub mod echo;
pub mod eventually;
pub mod headers;
pub mod holder;
pub mod http;
pub mod left;
pub mod load;
pub mod program;
pub mod ssh_agent;
pub mod sshd;
pub mod terminal;
pub mod threads;
pub mod upper;
pub mod usage;
