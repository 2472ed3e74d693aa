//! Stand-ins for programs that this machine does not have.

pub mod apiserver;
pub mod cluster;
pub mod embedded;
pub mod issuer;
pub mod kubelet;
pub(crate) mod listener;
pub mod road;
