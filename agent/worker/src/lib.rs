//! What an agent and the worker that makes sockets in a container say to each other. The worker sits in
//! somebody's container, so the agent believes none of it.

pub mod kind;
pub mod sockets;
