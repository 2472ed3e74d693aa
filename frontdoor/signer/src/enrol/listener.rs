//! The address that parts call: gRPC over TLS with the signer's own certificate, one call per
//! connection.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::https;
use podgate_process::shutdown::Shutdown;
use podgate_proto::limits::MAX_ENROL_REQUEST;
use podgate_proto::v1::enrolment_server::EnrolmentServer;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service::Enrol;

/// Bytes that a connection may send before they are read. A whole request fits.
const WINDOW: u32 = 64 * 1024;

/// Serves until `draining`. Open connections then end by themselves, or are ended at `stopped`.
pub(crate) async fn serve(
    listener: TcpListener,
    slots: Arc<ConnectionSlots>,
    service: Enrol,
    shutdown: Shutdown,
) {
    let inner = service.clone();
    let tls = move || std::future::ready(inner.tls());
    let tasks = TaskTracker::new();
    let within = slots.within();
    let calls = Calls {
        within,
        tasks: tasks.clone(),
        stopped: shutdown.stopped.clone(),
    };
    let speak = move |stream, peer| {
        let service = EnrolmentServer::new(service.for_peer(peer))
            .max_decoding_message_size(MAX_ENROL_REQUEST);
        http2::Builder::new(calls)
            .max_concurrent_streams(1)
            .max_header_list_size(16 * 1024)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
    };
    let bounds = (slots, within);
    https::serve(listener, bounds, tls, speak, tasks, shutdown).await;
}

/// Runs a connection's calls.
#[derive(Clone)]
struct Calls {
    within: Duration,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        let (within, stopped) = (self.within, self.stopped.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                _ = timeout(within, call) => {}
                () = stopped.cancelled() => {}
            }
        });
    }
}
