//! The record of who logged in and who entered which container, as docs/audit.md explains it.

mod command;
mod event;
mod files;
mod refused_by;
mod session;

pub(crate) use podgate_process::audit::AuditLog as Audit;

pub(crate) use command::Program;
pub(crate) use event::{Event, Via};
pub(crate) use refused_by::RefusedBy;
pub(crate) use session::{Session, Unwritable};
