//! Recordings of sessions: their format, and how they are stored, checked and found again. It uses
//! no library of SSH or Kubernetes.

pub mod cast;

mod age;
mod archive;
mod calls;
mod chunk;
mod content;
mod digest;
mod export;
mod folder;
mod health;
mod index;
mod library;
mod name;
mod newest;
mod no_end;
mod object;
mod pauses;
mod reader;
mod rebuild;
mod recorder;
mod shared;
mod spool;
mod store;
mod tape;
mod thread;
mod upload;
mod verify;
mod wakes;
mod writer;

pub use age::{NoRecipient, Recipient};
pub use archive::{Archive, Error as ArchiveError};
pub use chunk::Whole;
pub use content::{Content, Encrypted};
pub use export::Export;
pub use folder::FolderConfig;
pub use health::Metrics;
pub use index::{Ending, Entry};
pub use library::Library;
pub use name::Id;
pub use newest::{Found, Query};
pub use no_end::NoEnd;
pub use reader::Reader;
pub use rebuild::Rebuilt;
pub use recorder::{Config, Error as RecorderError, Recorder};
pub use store::{Error, StoreConfig};
pub use tape::{Marks, Sealed, Settings, Tape};
pub use verify::{Broken, Verdict, Verifier};
