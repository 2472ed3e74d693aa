//! What runs programs in the containers of this node.

pub mod kubelet;
