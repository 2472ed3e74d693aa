//! Real programs, each started as a value and stopped when dropped.

pub mod containerd;
pub mod cri;
pub mod deployed;
pub mod network;
pub mod ssh;
