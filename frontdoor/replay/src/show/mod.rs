//! What is shown: lists of recordings, and a recording's text as a browser's player takes it.

mod chunks;
mod error;
mod filter;
mod find;
mod follow;
mod list;
mod places;
mod play;
mod standing;
mod view;

pub(crate) use error::Error;
pub(crate) use filter::{Filter, Sort};
pub(crate) use find::{Desk, Found, How};
pub(crate) use follow::follow;
pub(crate) use list::{Listed, list};
pub(crate) use places::{Full, Kind, Place, Places};
pub(crate) use play::{Head, exact, head, play};
