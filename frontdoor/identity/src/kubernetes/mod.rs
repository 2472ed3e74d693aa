//! The API server: a client made the same way for everyone, limits on how long its answers are waited
//! for, objects that a part keeps there, and whose a bearer token is.

pub mod access;
mod answer;
mod bounded;
mod client;
mod object;
mod pass_key;
mod reference;
pub mod token_claims;
pub mod token_reviews;
pub mod token_users;

pub use kube::Client;

pub use answer::{SHORT_TIMEOUT, Unanswered, within};
pub use bounded::is_too_large;
pub use client::{ANSWER_TIMEOUT, Error, backoff, connect, connect_without_retries, own_token};
pub use object::{Error as ObjectError, change, fill_secret, patiently};
pub use pass_key::{Error as KeyError, KeySource};
pub use reference::Reference;
