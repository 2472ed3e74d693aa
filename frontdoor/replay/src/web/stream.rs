//! A stream as a body. Its client must take piece after piece: one that does not loses its connection, and so
//! keeps neither memory nor connections to the store. A stream that ends early breaks off, so that the client
//! can tell it from a whole one.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};

use super::time::Time;
use crate::show::{Error, Place};

/// Bytes of a piece at most.
const PIECE: usize = 64 * 1024;
/// How long a client may take for a piece: the slowest link has 2 kB a second.
const TAKEN: Duration = Duration::from_secs(30);
/// How long the next piece may take to be there. The store's own limits are shorter.
const MADE: Duration = Duration::from_secs(300);

type Events = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// What is being sent.
struct Sent {
    events: Events,
    /// What is there and not sent yet.
    rest: Bytes,
    time: Time,
    _place: Place,
}

/// The body of this stream, which has this place until its end.
pub(super) fn body(
    events: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    place: Place,
    time: Time,
) -> Body {
    let sent = Sent {
        events: Box::pin(events),
        rest: Bytes::new(),
        time,
        _place: place,
    };
    Body::from_stream(stream::try_unfold(sent, next))
}

/// The connection asks for this once it has room, and so has taken the piece before.
async fn next(mut sent: Sent) -> Result<Option<(Bytes, Sent)>, Error> {
    sent.time.piece(MADE);
    while sent.rest.is_empty() {
        let more = sent.events.try_next().await;
        let more = more.inspect_err(|error| error.log("a stream broke off"))?;
        let Some(more) = more else {
            sent.time.piece(TAKEN);
            return Ok(None);
        };
        sent.rest = more;
    }
    sent.time.piece(TAKEN);
    let piece = sent.rest.split_to(PIECE.min(sent.rest.len()));
    Ok(Some((piece, sent)))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::time::Instant;

    use super::*;
    use crate::show::{Kind, Places};

    fn place(taken: &Gauge) -> Place {
        let places = Places::new(Kind::STREAMS, 1, 1, taken.clone());
        places.take("ada").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_in_pieces_and_each_has_its_time() {
        let (time, until) = Time::new(Duration::from_secs(20));
        let taken = Gauge::default();
        let slow = stream::once(async {
            tokio::time::sleep(MADE - TAKEN).await;
            Ok(Bytes::from(vec![1; PIECE + 1]))
        });
        let empty = stream::once(async { Ok(Bytes::new()) });
        let body = body(empty.chain(slow), place(&taken), time);
        let mut pieces = body.into_data_stream();
        let left = || until.borrow().at - Instant::now();
        assert_eq!(left(), Duration::from_secs(20));
        assert_eq!(pieces.next().await.unwrap().unwrap().len(), PIECE);
        assert_eq!((left(), taken.get()), (TAKEN, 1));
        tokio::time::advance(TAKEN / 2).await;
        assert_eq!(left(), TAKEN / 2);
        assert_eq!(pieces.next().await.unwrap().unwrap().len(), 1);
        assert_eq!(left(), TAKEN);
        assert!(pieces.next().await.is_none());
        assert_eq!((left(), taken.get()), (TAKEN, 0));
    }

    #[tokio::test]
    async fn a_stream_that_fails_does_not_end_like_a_whole_one() {
        let (time, _until) = Time::new(Duration::from_secs(20));
        let taken = Gauge::default();
        let parts = [Ok(Bytes::from_static(b"a")), Err(Error::NoLonger)];
        let body = body(stream::iter(parts), place(&taken), time);
        let mut pieces = body.into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "a");
        assert!(pieces.next().await.unwrap().is_err());
        assert_eq!(taken.get(), 0);
    }
}
