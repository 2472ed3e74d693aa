//! Serves files (SFTP and scp): by a worker that the node entry starts, or where there is none by the
//! image's own programs.

mod image;
mod missing;
mod pipes;
mod request;
mod throttled;
mod worker;

pub(crate) use image::program;
pub(crate) use missing::OrMissing;
pub(crate) use request::{Error, FilesRequest};
pub(crate) use throttled::throttled;
pub(crate) use worker::{NoWorker, Worker, Workers};
