//! What stands in front of a program where its runtime can only start one: a small script of the
//! image's own shell. It sets the program up and says that it runs; another one signals it.

pub mod hangup;
pub(crate) mod launch;
mod stty;
pub mod wrapper;
