//! The page over HTTPS. Every answer has the same strict headers; nothing of it comes from elsewhere.

mod asked;
mod assets;
mod enter;
mod failure;
mod headers;
mod html;
mod list;
mod parts;
mod recording;
mod server;
mod stream;
mod time;

pub(crate) use assets::has_player;
pub(crate) use parts::Parts;
pub(crate) use server::serve;
