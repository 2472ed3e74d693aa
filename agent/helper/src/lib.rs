//! What the node helper and the agent must agree on: the protocol of the helper's socket, and the clock
//! by which both tell processes apart. The helper itself is the program in `main.rs`.

pub mod protocol;
pub mod ticks;
