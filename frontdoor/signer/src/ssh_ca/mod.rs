//! CAs of SSH certificates: one for users, at the desk, and one for the frontdoors' host keys.

mod authority;
mod certificate;
mod config;
mod trusted;

pub(crate) use authority::{Authority, Error, Kind};
pub(crate) use certificate::{MAX_PRINCIPALS, begin, is_supported};
pub(crate) use config::{Ca, File};
