//! An SFTP server: one session on one thread, like OpenSSH's. Files that a request opens stay open
//! until they are closed; nothing else is kept from one request to the next.

mod failure;
mod files;
mod folder;
mod handles;
mod metadata;
mod names;
mod output;
mod paths;
mod server;

pub(crate) use names::home;
pub(crate) use server::{Error, Links, Server};
