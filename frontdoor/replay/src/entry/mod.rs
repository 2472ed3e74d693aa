//! Getting in: a link of the frontdoor's or a Kubernetes token becomes a cookie, and a cookie a visitor. What
//! a visitor may see is asked for each time; the cookie says only who it is.

mod cookie;
mod door;
mod error;
mod known;
mod rates;

pub(crate) use cookie::Cookie;
pub(crate) use door::{Door, Entered, Visitor};
pub(crate) use error::Error;
