//! asciicast v3 (docs.asciinema.org/manual/asciicast/v3): a header line, then a line an event. Two codes
//! of our own, which players skip, say what the format cannot: after an output, `e` says that it was on
//! stderr, and after any data, `b` has its bytes in base64 because they are not UTF-8.

mod decode;
mod encode;
mod event;
mod first_line;

pub use decode::{Error, events, header};
pub use encode::Encoder;
pub use event::{Event, Stream};
pub use first_line::{About, Header, Term};

#[cfg(test)]
pub(crate) mod tests;
