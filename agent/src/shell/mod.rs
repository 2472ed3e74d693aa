//! What stands in front of a program where its runtime can only start one: a small script for the
//! image's own shell. It sets the program up and says that it runs. Another script signals it.

pub(crate) mod hangup;
pub(crate) mod launch;
pub(crate) mod leader;
mod leave;
mod lone;
pub(crate) mod sh;
mod stty;
pub(crate) mod trouble;
pub(crate) mod wrapper;
