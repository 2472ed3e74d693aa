//! `/portForward`: the kubelet's checks in its order, then the runtime, as for an exec.

use std::sync::{Arc, PoisonError};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;

use super::routes::{Answer, plain, sniffless};
use super::upgrade::{PORT_FORWARD, connection_upgrades, negotiate};
use super::{Front, Runtime, relay};
use crate::stand_ins::cluster::running_container;
use crate::stand_ins::embedded;
use crate::stand_ins::listener::Peer;

impl Front {
    pub(super) async fn port_forward(
        self: Arc<Self>,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> Answer {
        let path = request.uri().path().to_owned();
        let mut parts = path.split('/').skip(2);
        let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
            return plain(StatusCode::NOT_FOUND, "404: Page Not Found");
        };
        let here = |pod: &Pod| {
            let spec = pod.spec.as_ref();
            spec.is_some_and(|spec| spec.node_name.as_ref() == Some(&self.node))
        };
        let pod = self.cluster.get(namespace, name).filter(here);
        let containers = pod
            .iter()
            .flat_map(|pod| &pod.spec)
            .flat_map(|spec| &spec.containers);
        let mut running = containers.filter_map(|one| running_container(pod.as_ref()?, &one.name));
        let Some(container) = running.next() else {
            return plain(StatusCode::NOT_FOUND, "pod does not exist");
        };
        if !connection_upgrades(request.headers()) {
            let text = "Upgrade request required\n";
            return sniffless(plain(StatusCode::INTERNAL_SERVER_ERROR, text));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let runtime = self.runtime.lock();
        let runtime = runtime.unwrap_or_else(PoisonError::into_inner).clone();
        match runtime {
            Some(Runtime::Embedded(_)) => {
                let answer = negotiate(request.headers(), &PORT_FORWARD);
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    self.upgraded(&peer, upgrade, embedded::forward);
                }
                answer
            }
            Some(Runtime::Containerd(containerd)) => {
                let url = match containerd.sandbox_of(&container).await {
                    Ok(sandbox) => containerd.port_forward_url(&sandbox, &[]).await,
                    Err(status) => Err(status),
                };
                relay::to(self, url, &peer, &request, upgrade).await
            }
            None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the kubelet has stopped"),
        }
    }
}
