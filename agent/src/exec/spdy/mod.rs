//! SPDY/3.1 as container runtimes speak it for exec: framing only, no flow control, no I/O.

pub(crate) mod frame;
pub(crate) mod headers;
