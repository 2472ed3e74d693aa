//! The record of who logged in and who entered which container, as docs/audit.md explains it.

mod event;
mod refused_by;
mod session;

pub use podgate_process::audit::AuditLog as Audit;

pub use event::{Event, Via};
pub use refused_by::RefusedBy;
pub use session::{Session, Unwritable};
