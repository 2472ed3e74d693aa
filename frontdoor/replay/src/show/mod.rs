//! What is shown: lists of recordings, and a recording's text as a browser's player takes it.

mod chunks;
mod error;
mod filter;
mod find;
mod follow;
mod list;
mod play;
mod view;

pub(crate) use error::Error;
pub(crate) use filter::{Filter, Sort};
pub(crate) use find::{Desk, Found, How};
pub(crate) use follow::{Followers, follow};
pub(crate) use list::{Listed, list};
pub(crate) use play::{Head, exact, head, play};
