//! Behaviours, one file each, against the real things where that can be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod apiserver;
mod command;
mod containerd;
mod errors;
mod kubelet;
mod shell;
mod shutdown;
