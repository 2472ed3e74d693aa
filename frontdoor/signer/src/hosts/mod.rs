//! Host certificates: the signer certifies the host keys of frontdoors, for the names in its
//! configuration, when they enrol.

mod config;
mod issue;
mod service;

pub(crate) use config::{Config, File};
pub(crate) use service::Hosts;
