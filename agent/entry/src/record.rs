//! What front and starter tell each other. The front has checked what a record says of a peer and of its
//! descriptors; the starter takes nothing else.

use serde::{Deserialize, Serialize};

use podgate_node_entry::protocol::{Message, Request};

/// A connection of the front's, numbered from the first.
pub(crate) type Connection = u64;

/// From the front.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Record {
    /// A request, with its descriptors.
    Said {
        connection: Connection,
        request: Request,
    },
    /// Nobody holds what was started on this connection.
    Closed { connection: Connection },
}

/// From the starter.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Notice {
    /// For a connection, with descriptors.
    Tell {
        connection: Connection,
        message: Message,
    },
    /// No new connection is to be taken.
    Draining,
}
