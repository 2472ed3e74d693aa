//! The stand: real containerd and runc, stand-ins for the API server and the kubelet's front,
//! a PKI and the OpenSSH clients. Each part is a value on free ports that stops when dropped.
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and threads here end with the values that own them, and a drop cannot await"
)]

pub mod fixtures;
pub mod instruments;
pub mod real;
pub mod stand_ins;
