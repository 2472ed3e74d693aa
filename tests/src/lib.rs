//! The stand: real containerd and runc, stand-ins for the API server and the kubelet's front,
//! a PKI and the OpenSSH clients. Each part is a value on free ports that stops when dropped.
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and threads here end with the values that own them, and a drop cannot await"
)]

pub mod apiserver;
pub mod client;
pub mod cluster;
pub mod containerd;
pub mod cri;
pub mod deployed;
pub mod direct;
pub mod echo;
pub mod embedded;
pub mod gateway;
pub mod helper;
pub mod images;
pub mod issuer;
pub mod kubelet;
pub mod left;
pub mod network;
pub mod pki;
pub mod program;
pub mod ssh;
pub mod stand;
pub mod terminal;
pub mod usage;
