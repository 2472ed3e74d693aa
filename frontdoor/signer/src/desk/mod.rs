//! The desk: a bearer token and a public key become an SSH user certificate, for the identity that the
//! API server or an OIDC issuer vouches for.

mod config;
mod exchange;
mod http;
mod issue;
mod oidc;
mod rates;
mod service;
mod thread;

pub(crate) use config::{Config, File};
pub(crate) use service::Error;
pub(crate) use thread::DeskThread;
