//! What all cores of a frontdoor share, and the work of one core: it serves its connections, with a
//! client of the API server of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use podgate_identity::kubernetes;
use podgate_process::mtls::Identity;
use podgate_process::shutdown::Shutdown;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::agents::Agents;
use crate::audit::Audit;
use crate::authn::Authenticator;
use crate::authz::{Authorizer, Reviews};
use crate::config::{Config, Rule};
use crate::lookups::Lookups;
use crate::metrics::Metrics;
use crate::quotas::Quotas;
use crate::recordings::Recordings;
use crate::route::{AgentPods, Cluster, Router};
use crate::ssh::{
    self, Accepted, Context, Greetings, HostIdentity, KeyExchanges, PreAuthTime, PreAuthTurns,
};

#[derive(Debug)]
pub(crate) struct Core {
    config: Config,
    identity: Arc<Identity>,
    authenticator: Arc<Authenticator>,
    host: Arc<HostIdentity>,
    greetings: Arc<Greetings>,
    /// Followed by one core, read by all.
    cluster: Arc<Cluster>,
    agent_pods: Option<Arc<AgentPods>>,
    quotas: Arc<Quotas>,
    pre_auth: Arc<PreAuthTime>,
    key_exchanges: Arc<KeyExchanges>,
    reviews: Arc<Reviews>,
    rules: Arc<[Rule]>,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    recordings: Option<Arc<Recordings>>,
    shutdown: Shutdown,
    /// The reason of the first core that could not begin.
    failure: Mutex<Option<kubernetes::Error>>,
}

impl Core {
    /// # Errors
    /// When what computes key exchanges cannot be made.
    pub(crate) fn new(
        config: &Config,
        (identity, authenticator): (Identity, Authenticator),
        (host, greetings): (HostIdentity, Greetings),
        (audit, recordings, metrics): (Audit, Option<Arc<Recordings>>, Arc<Metrics>),
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let agent_pods = config.agents.pods.clone();
        let agent_pods =
            agent_pods.map(|pods| Arc::new(AgentPods::new(pods.namespace, pods.selector)));
        let bounds = config.cluster;
        let lookups = Arc::new(Lookups::new(bounds.lookups_per_user_per_minute));
        let reviews = Reviews::new(config.authorization.clone(), Arc::clone(&lookups));
        let cluster = Cluster::new(
            config.watch_pods,
            config.authorization.outage,
            bounds,
            lookups,
            Arc::clone(&metrics),
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            config: config.clone(),
            identity: Arc::new(identity),
            authenticator: Arc::new(authenticator),
            host: Arc::new(host),
            greetings: Arc::new(greetings),
            cluster: Arc::new(cluster),
            agent_pods,
            quotas: Arc::new(Quotas::new(&config.limits)),
            pre_auth: Arc::new(PreAuthTime::new(cores)),
            key_exchanges: Arc::new(KeyExchanges::new(cores)?),
            reviews: Arc::new(reviews),
            rules: config.rules.clone().into(),
            metrics,
            audit: Arc::new(audit),
            recordings,
            shutdown,
            failure: Mutex::default(),
        })
    }

    /// Refuses a connection, or accepts it for some core. Never waits.
    pub(crate) fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        let proxies = self.config.proxies.as_ref();
        ssh::admit(stream, peer, proxies, &self.quotas, &self.metrics)
    }

    /// Serves one core's connections until the last has ended. If the core cannot start, the whole
    /// program ends.
    pub(crate) async fn serve(self: Arc<Self>, accepted: mpsc::Receiver<Accepted>) {
        match self.router().await {
            Ok(router) => {
                let context = self.context(router);
                let recheck = context.authorizer.clone();
                tokio::select! {
                    () = ssh::serve(accepted, Arc::new(context)) => {}
                    () = recheck.recheck(self.config.recheck) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "no client of the API server");
                self.lock_failure().get_or_insert(error);
                self.shutdown.draining.cancel();
                self.shutdown.stopped.cancel();
            }
        }
    }

    /// Makes a router for the calling core's runtime.
    pub(crate) async fn router(&self) -> Result<Router, kubernetes::Error> {
        let kubeconfig = self.config.kubeconfig.as_deref();
        let (cluster, agent_pods) = (Arc::clone(&self.cluster), self.agent_pods.clone());
        Router::connect(kubeconfig, cluster, agent_pods).await
    }

    fn context(&self, router: Router) -> Context {
        let (reviews, rules) = (Arc::clone(&self.reviews), Arc::clone(&self.rules));
        let exec_suffices = self.config.forwards.exec_suffices;
        Context {
            host: Arc::clone(&self.host),
            limits: self.config.limits.clone(),
            quotas: Arc::clone(&self.quotas),
            turns: PreAuthTurns::new(Arc::clone(&self.pre_auth)),
            key_exchanges: Arc::clone(&self.key_exchanges),
            sessions: self.config.sessions.clone(),
            forwards: self.config.forwards.clone(),
            greetings: Arc::clone(&self.greetings),
            authenticator: Arc::clone(&self.authenticator),
            recheck: self.config.recheck,
            authorizer: Authorizer::new(router.client(), reviews, rules, exec_suffices),
            router,
            agents: Agents::new(Arc::clone(&self.identity), self.config.agents.port),
            audit: Arc::clone(&self.audit),
            recordings: self.recordings.clone(),
            metrics: Arc::clone(&self.metrics),
            draining: self.shutdown.draining.clone(),
            stopped: self.shutdown.stopped.clone(),
        }
    }

    /// Waits until all pods of the cluster are known.
    pub(crate) async fn pods_known(&self) {
        self.cluster.filled().cancelled().await;
    }

    /// Renders the metrics, and counts first what is counted only on request.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        let stale = self.authenticator.stale();
        let stale = i64::try_from(stale).unwrap_or(i64::MAX);
        self.metrics.stale_files.set(stale);
        let expires = i64::try_from(self.host.expires().unwrap_or(0));
        let expiry = &self.metrics.host_certificate_expiry;
        expiry.set(expires.unwrap_or(i64::MAX));
        self.metrics.render()
    }

    /// Writes the last of the recordings and of the audit log. Returns the error of a core that could not start.
    pub(crate) async fn finish(&self) -> Result<(), kubernetes::Error> {
        if let Some(recordings) = &self.recordings {
            recordings.finish().await;
        }
        self.audit.finish().await;
        self.lock_failure().take().map_or(Ok(()), Err)
    }

    fn lock_failure(&self) -> std::sync::MutexGuard<'_, Option<kubernetes::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
