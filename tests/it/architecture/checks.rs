//! The rules themselves, on small made-up sources: each of them can fail.

mod circles;
mod names;
mod rules;
mod workspace;
