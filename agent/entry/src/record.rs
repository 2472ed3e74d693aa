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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/entry_record"
        );
        let (mut records, mut notices) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            if let Ok(record) = serde_json::from_slice::<Record>(&bytes) {
                let again = serde_json::to_vec(&record).unwrap();
                assert_eq!(serde_json::from_slice::<Record>(&again).unwrap(), record);
                records += 1;
            }
            if let Ok(notice) = serde_json::from_slice::<Notice>(&bytes) {
                let again = serde_json::to_vec(&notice).unwrap();
                assert_eq!(serde_json::from_slice::<Notice>(&again).unwrap(), notice);
                notices += 1;
            }
        }
        assert_eq!((records, notices), (2, 4));
    }
}
