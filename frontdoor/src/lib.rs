//! The frontdoor: ends SSH, knows who is there, asks whether they may, finds the pod, and streams to
//! the agent on its node. It has no privilege on any node.

pub mod agents;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod config;
pub mod login_name;
pub mod metrics;
pub mod route;

mod quotas;
mod ssh;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use podgate_identity::kubernetes;
use podgate_process::admin::{self, Admin};
use podgate_process::daemon::Daemon;
use podgate_process::enrolment::Enrolment;
use podgate_process::listener::{self, address, listen};
use podgate_process::mtls::{self, Identity};
use podgate_process::shutdown::Shutdown;
use podgate_process::workers::Workers;
use podgate_process::{descriptors, log};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use agents::Agents;
use audit::Audit;
use authn::Authenticator;
use authz::{Authorizer, Reviews};
use config::{Config, HostKeys};
use metrics::Metrics;
use quotas::Quotas;
use route::{AgentPods, Cluster, Router};
use ssh::{Accepted, Context, hostkeys};

/// Why the frontdoor does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("tls: {0}")]
    Tls(#[from] mtls::Error),
    #[error("hostKeys: {0}")]
    HostKeys(#[from] hostkeys::Error),
    #[error(transparent)]
    Authn(#[from] authn::Error),
    #[error("audit: {0}")]
    Audit(#[from] podgate_process::audit::Error),
    #[error("kubeconfig: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// A frontdoor that listens, and does not serve yet.
#[derive(Debug)]
pub struct Frontdoor {
    config: Config,
    listener: TcpListener,
    admin: TcpListener,
    identity: Arc<Identity>,
    enrolment: Arc<Enrolment>,
    authenticator: Arc<Authenticator>,
    ssh: Arc<russh::server::Config>,
    /// Follows the cluster, which all workers read.
    router: Router,
    cluster: Arc<Cluster>,
    agent_pods: Option<Arc<AgentPods>>,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
}

impl Daemon for Frontdoor {
    const NAME: &'static str = "podgate-frontdoor";
    /// russh warns of what clients send, in the clients' words.
    const LOG: &'static str = "info,russh=error";
    type Config = Config;
    type Error = Error;

    fn read(path: &Path) -> Result<Config, podgate_process::config::Error> {
        Config::read(path)
    }

    fn log(config: &Config) -> &log::Config {
        &config.log
    }

    /// Reads keys, who may log in, and TLS files, and listens.
    async fn bind(config: Config) -> Result<Self, Error> {
        descriptors::raise();
        let (identity, enrolment) = config.certificate.clone().open()?;
        let authenticator = Arc::new(Authenticator::load(&config.authn)?);
        let kubeconfig = config.kubeconfig.as_deref();
        let keys = match &config.host_keys {
            HostKeys::Files(paths) => hostkeys::load(paths)?,
            HostKeys::Secret(secret) => {
                hostkeys::shared(&kubernetes::connect(kubeconfig).await?, secret).await?
            }
        };
        hostkeys::tell(&keys);
        let ssh = Arc::new(ssh::settings(keys, &config.limits));
        // Each worker makes its own client; wrong files are this call's error.
        let cluster = Cluster::new(config.watch_pods, config.authorization.outage);
        let cluster = Arc::new(cluster);
        let agent_pods = config.agents.pods.clone();
        let agent_pods =
            agent_pods.map(|pods| Arc::new(AgentPods::new(pods.namespace, pods.selector)));
        let router = Router::connect(kubeconfig, Arc::clone(&cluster), agent_pods.clone()).await?;
        let listener = listen(config.listen).await?;
        let admin = listen(config.admin).await?;
        let metrics = Arc::new(Metrics::new());
        let audit = Arc::new(Audit::start(&config.audit, metrics.audit_events.clone())?);
        Ok(Self {
            config,
            listener,
            admin,
            identity: Arc::new(identity),
            enrolment: Arc::new(enrolment),
            authenticator,
            ssh,
            router,
            cluster,
            agent_pods,
            metrics,
            audit,
        })
    }

    /// Serves until `draining`, then lets sessions go on for the configured time, or until
    /// `stopped`, and ends the rest. A worker that cannot begin ends all at once.
    async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Shutdown { draining, stopped } = shutdown;
        let Self {
            config,
            listener,
            admin,
            identity,
            enrolment,
            authenticator,
            ssh,
            router,
            cluster,
            agent_pods,
            metrics,
            audit,
        } = self;
        let quotas = Arc::new(Quotas::new(&config.limits));
        let reviews = Arc::new(Reviews::new(config.authorization.clone()));
        let rules: Arc<[_]> = config.rules.clone().into();
        let served = CancellationToken::new();
        let (listen, admin_address) = (address(&listener), address(&admin));
        let filled = config.watch_pods.then(|| cluster.filled());
        let told = Admin {
            metrics: {
                let (metrics, authenticator) = (Arc::clone(&metrics), Arc::clone(&authenticator));
                Arc::new(move || {
                    let stale = authenticator.stale();
                    metrics
                        .stale_files
                        .set(i64::try_from(stale).unwrap_or(i64::MAX));
                    metrics.render()
                })
            },
            waits: {
                let enrolment = Arc::clone(&enrolment);
                Arc::new(move || {
                    let filled = filled.as_ref().is_none_or(CancellationToken::is_cancelled);
                    let cluster = (!filled).then_some("the cluster's pods");
                    enrolment.waits().or(cluster)
                })
            },
            draining: draining.clone(),
        };
        let admin = admin::serve(admin, told, served.clone());
        let (failed, mut failure) = mpsc::channel(1);
        let start = {
            let (config, draining, stopped) = (config.clone(), draining.clone(), stopped.clone());
            let (metrics, quotas) = (Arc::clone(&metrics), Arc::clone(&quotas));
            let audit = Arc::clone(&audit);
            move |accepted| {
                let (config, metrics) = (config.clone(), Arc::clone(&metrics));
                let (ssh, authenticator) = (Arc::clone(&ssh), Arc::clone(&authenticator));
                let (quotas, cluster) = (Arc::clone(&quotas), Arc::clone(&cluster));
                let agent_pods = agent_pods.clone();
                let (reviews, rules) = (Arc::clone(&reviews), Arc::clone(&rules));
                let audit = Arc::clone(&audit);
                let agents = Agents::new(Arc::clone(&identity), config.agents.port);
                let (draining, stopped) = (draining.clone(), stopped.clone());
                let failed = failed.clone();
                async move {
                    let kubeconfig = config.kubeconfig.as_deref();
                    let router = Router::connect(kubeconfig, cluster, agent_pods).await;
                    let router = match router {
                        Ok(router) => router,
                        Err(error) => {
                            tracing::error!(%error, "no client of the API server");
                            // Of several that fail the first is told.
                            let _ = failed.try_send(error);
                            draining.cancel();
                            stopped.cancel();
                            return;
                        }
                    };
                    let authorizer = Authorizer::new(router.client(), reviews, rules);
                    let (recheck, every) = (authorizer.clone(), config.recheck);
                    let context = Context {
                        ssh,
                        limits: config.limits,
                        quotas,
                        sessions: config.sessions,
                        authenticator,
                        recheck: config.recheck,
                        authorizer,
                        router,
                        agents,
                        audit,
                        metrics,
                        draining,
                        stopped,
                    };
                    tokio::select! {
                        () = ssh::serve(accepted, Arc::new(context)) => {}
                        () = recheck.recheck(every) => {}
                    }
                }
            }
        };
        let mut workers = Workers::start(config.workers, start).map_err(Error::Worker)?;
        metrics.tasks.watch(workers.runtimes());
        let serve = async {
            if !ssh::WINDOW_BY_CONSUMPTION {
                tracing::warn!(
                    "built without frontdoor/russh: a slow reader stalls its connection"
                );
            }
            tracing::info!(%listen, %admin_address, "serving");
            let proxies = config.proxies.as_ref();
            let admit = |stream, peer| ssh::admit(stream, peer, proxies, &quotas, &metrics);
            tokio::select! {
                () = enrolment.enrolled() => {
                    accept(&listener, &mut workers, admit, &draining).await;
                }
                () = draining.cancelled() => {}
            }
            drop(listener);
            tracing::info!("draining");
            let finish = workers.finish();
            tokio::pin!(finish);
            let drained = tokio::select! {
                () = &mut finish => true,
                () = tokio::time::sleep(config.drain) => false,
                () = stopped.cancelled() => false,
            };
            if !drained {
                tracing::warn!("ending the sessions that are left");
                stopped.cancel();
                finish.await;
            }
            served.cancel();
        };
        let count = |pods| {
            metrics.pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
        };
        let follow = async {
            tokio::select! {
                () = served.cancelled() => {}
                () = router.follow(count), if config.watch_pods => {}
                () = router.follow_agents() => {}
                () = enrolment.keep(|event| metrics.enrolment.count(event)) => {}
            }
        };
        tokio::join!(admin, serve, follow);
        // Whatever is recorded was, by now.
        audit.finish().await;
        tracing::info!("stopped");
        match failure.try_recv() {
            Ok(error) => Err(error.into()),
            Err(_) => Ok(()),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    workers: &mut Workers<Accepted>,
    admit: impl Fn(TcpStream, SocketAddr) -> Option<Accepted>,
    draining: &CancellationToken,
) {
    loop {
        let (stream, peer) = tokio::select! {
            () = draining.cancelled() => return,
            accepted = listener::accept(listener) => accepted,
        };
        if let Some(accepted) = admit(stream, peer) {
            workers.hand_over(accepted).await;
        }
    }
}
