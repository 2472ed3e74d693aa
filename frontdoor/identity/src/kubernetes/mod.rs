//! The API server: a client made the same way for everyone, limits on how long its answers are waited
//! for, and objects that a part keeps there.

mod answer;
mod bounded;
mod client;
mod object;
mod reference;

pub use kube::Client;

pub use answer::{SHORT_TIMEOUT, Unanswered, within};
pub use bounded::is_too_large;
pub use client::{ANSWER_TIMEOUT, Error, backoff, connect, connect_without_retries, own_token};
pub use object::{Error as ObjectError, change, fill_secret, patiently};
pub use reference::Reference;
