//! A client of a stream that reads, one that does not, and one that would not see its end.

use std::net::{IpAddr, Ipv4Addr};

use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use podgate_process::bounds::Bounds;
use podgate_process::metrics::{RefusedConnections, Registry};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Duration, Instant, timeout};

use super::super::stream::body;
use super::*;
use crate::show::{Error, Kind, Places};

/// What a connection has in its buffers.
const BUFFER: usize = 4096;

struct Connection {
    slot: Arc<ConnectionSlot>,
    streams: Gauge,
    registry: Registry,
}

impl Connection {
    fn new() -> Self {
        let mut registry = Registry::new("test");
        let refused = RefusedConnections::new(&mut registry);
        let bounds = Bounds {
            total: 1,
            per_address: 1,
            per_second_and_address: 1,
            seconds: 20,
        };
        let slots = ConnectionSlots::new("page", bounds, refused);
        let slot = slots.take(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        Self {
            slot: Arc::new(slot),
            streams: Gauge::default(),
            registry,
        }
    }

    /// Serves a stream without end, a byte a millisecond if it is `slow`, over this.
    async fn serve(&self, stream: DuplexStream, slow: bool) {
        let (time, until) = Time::new(Duration::from_secs(20));
        let streams = self.streams.clone();
        let endless = move || async move {
            let place = Places::new(Kind::STREAMS, 1, 1, streams).take("ada");
            let events = stream::unfold((), move |()| async move {
                let bytes = match slow {
                    true => {
                        tokio::time::sleep(Duration::from_secs(15)).await;
                        Bytes::from_static(b".")
                    }
                    false => Bytes::from(vec![b'.'; 1 << 20]),
                };
                Some((Ok::<_, Error>(bytes), ()))
            });
            body(events, place.unwrap(), time).into_response()
        };
        let router = Router::new().route("/", get(endless));
        let draining = CancellationToken::new();
        let _ = speak(stream, router, (&self.slot, until), &draining).await;
    }
}

async fn ask(client: &mut DuplexStream) {
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off_and_what_it_had_is_free() {
    let connection = Connection::new();
    let (mut client, server) = duplex(BUFFER);
    ask(&mut client).await;
    let begun = Instant::now();
    connection.serve(server, false).await;
    let lasted = begun.elapsed();
    assert!(lasted < Duration::from_secs(31), "{lasted:?}");
    assert_eq!(connection.streams.get(), 0);
    let told = connection.registry.render().unwrap();
    assert!(told.contains("limit=\"piece\"} 1"), "{told}");
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    // It sees that this is not all.
    assert!(!got.ends_with(b"0\r\n\r\n") && got.len() <= BUFFER);
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_as_long_as_its_client_takes_what_comes() {
    for slow in [true, false] {
        let connection = Connection::new();
        let (mut client, server) = duplex(BUFFER);
        ask(&mut client).await;
        // Much longer than a visitor's connection without a stream.
        let limit = Duration::from_secs(3600);
        let read = async {
            let mut buffer = [0; BUFFER];
            loop {
                if client.read(&mut buffer).await.unwrap() == 0 {
                    break;
                }
                // A piece takes 16 reads, and so less than its time.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let both = async { tokio::join!(connection.serve(server, slow), read) };
        assert!(timeout(limit, both).await.is_err(), "slow: {slow}");
    }
}
