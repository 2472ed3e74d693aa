//! The front: it owns the socket, and nothing reaches the starter but what it has checked. It has no
//! capability, is of no user that owns anything, and can make few system calls.

pub(crate) mod check;
mod sandbox;
pub(crate) mod server;
pub(crate) mod socket;
