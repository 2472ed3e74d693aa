//! The audit log: one JSON object a line, to standard output or a file. Recording never waits: a line
//! goes into a bounded queue, and one thread writes it. The events are each program's own.

mod config;
mod log;
mod queue;
mod sink;
mod writer;

pub use config::{Config, File, OnFailure, To};
pub use log::{AuditLog, Error, Unwritable};
