//! `/exec`: the kubelet's checks in its order, then the runtime. The streams after the 101 belong
//! to the runtime.

use std::future::{Future, pending};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::damage::{Client, Damaged};
use super::routes::{Answer, faulty, plain, sniffless};
use super::upgrade::{EXEC, connection_upgrades, negotiate};
use super::{ExecFault, Front, Runtime, relay};
use crate::stand_ins::cluster::running_container;
use crate::stand_ins::embedded::Exec;
use crate::stand_ins::listener::Peer;
use crate::stand_ins::listener::QUERY;

impl Front {
    pub(super) async fn exec(
        self: Arc<Self>,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> Answer {
        let fault = self.faults.exec();
        match fault {
            ExecFault::Answer(status, body) => return faulty(status, body),
            ExecFault::Unanswered => pending().await,
            ExecFault::None | ExecFault::Mute => {}
        }
        let long = request
            .headers()
            .get(QUERY)
            .and_then(|query| query.to_str().ok());
        let exec = parse_query(long.or(request.uri().query()).unwrap_or_default());
        if !(exec.stdin || exec.stdout || exec.stderr) {
            let text = "you must specify at least 1 of stdin, stdout, stderr";
            return plain(StatusCode::BAD_REQUEST, text);
        }
        let Some((namespace, name, container)) = parse_path(request.uri().path()) else {
            return plain(StatusCode::NOT_FOUND, "404: Page Not Found");
        };
        let on_this_node = |pod: &k8s_openapi::api::core::v1::Pod| {
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&self.node)
        };
        let Some(pod) = self.cluster.get(&namespace, &name).filter(on_this_node) else {
            return plain(StatusCode::NOT_FOUND, "pod does not exist");
        };
        let Some(id) = running_container(&pod, &container) else {
            let text = format!("container not found ({container:?})");
            return plain(StatusCode::INTERNAL_SERVER_ERROR, text);
        };
        if !connection_upgrades(request.headers()) {
            let text = "Upgrade request required\n";
            return sniffless(plain(StatusCode::INTERNAL_SERVER_ERROR, text));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        if fault == ExecFault::Mute {
            return self.mute(&peer, &request, upgrade);
        }
        let runtime = self
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match runtime {
            Some(Runtime::Embedded(embedded)) => {
                let answer = negotiate(request.headers(), &EXEC);
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let (serving, faults) = (embedded.serving(id, exec), self.faults.clone());
                    self.upgraded(&peer, upgrade, |client| async move {
                        let (end, input) = (Arc::clone(&faults), faults);
                        let loses = move || input.lose_input();
                        serving.run(client, move || end.omit_status(), loses).await;
                    });
                }
                answer
            }
            Some(Runtime::Containerd(containerd)) => {
                relay::exec(self, &containerd, &peer, &request, upgrade, &id, &exec).await
            }
            None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the kubelet has stopped"),
        }
    }

    fn mute(&self, peer: &Peer, request: &Request<Incoming>, upgrade: OnUpgrade) -> Answer {
        let answer = negotiate(request.headers(), &EXEC);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.upgraded(peer, upgrade, |mut client| async move {
                let mut buffer = vec![0; 16 * 1024];
                while matches!(client.read(&mut buffer).await, Ok(1..)) {}
            });
        }
        answer
    }

    /// Counts an exec as open from here on, and serves it once the 101 is out.
    pub(super) fn upgraded<F, S>(&self, peer: &Peer, upgrade: OnUpgrade, serve: F)
    where
        F: FnOnce(Client) -> S + Send + 'static,
        S: Future<Output = ()> + Send,
    {
        let open = OpenExec::new(&self.open_execs);
        self.total_execs.fetch_add(1, Ordering::SeqCst);
        let faults = self.faults.clone();
        peer.spawn(async move {
            let _open = open;
            if let Ok(client) = upgrade.await {
                serve(Damaged::new(TokioIo::new(client), faults)).await;
            }
        });
    }
}

/// Counts one open exec until dropped.
struct OpenExec(watch::Sender<usize>);

impl OpenExec {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count.clone())
    }
}

impl Drop for OpenExec {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// `/exec/{namespace}/{pod}[/{uid}]/{container}`; the UID is ignored, as kubelets do when a pod
/// of that name exists.
fn parse_path(path: &str) -> Option<(String, String, String)> {
    let parts: Vec<String> = path.split('/').skip(2).map(decode).collect();
    match parts.as_slice() {
        [namespace, pod, container] | [namespace, pod, _, container] => {
            Some((namespace.clone(), pod.clone(), container.clone()))
        }
        _ => None,
    }
}

/// A flag counts only if it is exactly `1`, and `tty` drops `error`.
fn parse_query(query: &str) -> Exec {
    let mut exec = Exec::default();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // In a query `+` is a blank.
        let value = decode(&value.replace('+', " "));
        let set = value == "1";
        match key {
            "command" => exec.argv.push(value),
            "input" => exec.stdin = set,
            "output" => exec.stdout = set,
            "error" => exec.stderr = set,
            "tty" => exec.tty = set,
            _ => {}
        }
    }
    exec.stderr &= !exec.tty;
    exec
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
