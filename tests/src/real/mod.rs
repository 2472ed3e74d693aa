//! Real programs, each started as a value and stopped when dropped.

pub mod age;
pub mod alone;
pub mod containerd;
pub mod cri;
mod daemon;
pub mod deployed;
pub mod etcd;
pub mod kube_apiserver;
pub mod kubelet;
mod namespace;
pub mod network;
pub mod raw_container;
pub mod s3;
pub mod security_key;
pub mod ssh;
