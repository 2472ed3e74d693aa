//! A container as its runtime has it on the node: its bundle, its state, and the program that runs it.

pub(crate) mod bundle;
pub(crate) mod config;
pub(crate) mod failure;
pub(crate) mod json;
pub(crate) mod kills;
pub(crate) mod node;
pub(crate) mod runtime;
pub(crate) mod shim;
