//! Behaviours, one file each, against the real programs where possible.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod agents;
mod alone;
mod apiserver;
mod architecture;
mod audit;
mod authn;
mod broken;
mod chaos;
mod chart;
mod cli;
mod command;
mod containerd;
mod crash;
mod deployed;
mod desk;
mod disk;
mod docs;
mod enrolment;
mod entry;
mod errors;
mod files;
mod flow;
mod forwards;
mod gone;
mod greetings;
mod hangup;
mod helper;
mod hostkeys;
mod idle;
mod jump;
mod kubelet;
mod large;
mod limits;
mod link;
mod many;
mod out_of_memory;
mod proxy_protocol;
mod rbac;
mod reader_gone;
mod recordings;
mod reload;
mod replay;
mod rules;
mod runtime_auto;
mod seen;
mod shell;
mod shutdown;
mod signal;
mod silence;
mod soak;
mod stalls;
mod store;
mod target;
mod targets;
mod tools;
mod unread;
mod upgrade;
mod worker;
