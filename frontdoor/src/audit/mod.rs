//! The record of who logged in and who entered which container, as the README's table has it.

mod event;
mod session;

pub use podgate_process::audit::AuditLog as Audit;

pub use event::{Event, Way};
pub use session::{By, Session, Unwritable};
