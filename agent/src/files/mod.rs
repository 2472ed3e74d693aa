//! Serves files (SFTP and scp): what a request may ask for, and the image's own programs, which serve it
//! where nothing better is.

mod image;
mod missing;
mod request;

pub(crate) use image::program;
pub(crate) use missing::OrMissing;
pub(crate) use request::{Error, FilesRequest, Service};
