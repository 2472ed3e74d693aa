//! Enrolment: a part's token and public key become its certificate.

mod caller;
mod listener;
mod service;
mod version;

pub(crate) use listener::serve;
pub(crate) use service::Enrol;
