//! The stand: real programs, stand-ins for programs that are not available, and what tests set up and
//! measure with. Each part is a value on free ports that stops when dropped. README.md describes them.
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and threads here end with the values that own them, and a drop cannot await"
)]

pub mod fixtures;
pub mod instruments;
pub mod real;
pub mod stand_ins;
