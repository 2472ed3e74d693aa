//! Warm connections to the nodes' agents, and a session's stream on one. An agent must show the
//! certificate of its own node.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use podgate_process::link::{self, LinkStream};
use podgate_process::mtls::{self, Identity};
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::frontdoor_message::Message;
use podgate_proto::v1::{AgentMessage, FrontdoorMessage, Open, Versions, WorkingDirectory, open};
use podgate_proto::{limits, shown};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::authz::Grant;

/// Messages to an agent that wait in this process. Together with the stream's window, they are all that
/// a session can hold while its process stalls.
const OUTBOUND: usize = 4;
/// Connections per core that are kept, at most: two per node.
const MAX_LINKS: usize = 20_000;
/// How long a connection is kept on which no session starts. Each costs memory and keepalives at both
/// ends.
const UNUSED: Duration = Duration::from_secs(300);
/// How long an agent may take to accept a stream.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Why there is no session's stream.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error(transparent)]
    Identity(#[from] mtls::Error),
    #[error("the node's address is not valid: {0}")]
    Address(tonic::transport::Error),
    #[error("the agent on node {node} cannot be reached: {source}")]
    Unreachable { node: String, source: Dial },
    #[error("the agent on node {node} is not trusted: {source}")]
    Untrusted { node: String, source: io::Error },
    #[error("the agent on node {node} speaks another version; run the same release on both")]
    Version { node: String },
    // Not a source: what an agent says is bounded, and on one line.
    #[error("the agent on node {node} refused the session: {reason}")]
    Refused { node: String, reason: String },
    #[error("the agent on node {node} did not accept the session within {ACCEPT_TIMEOUT:?}")]
    Timeout { node: String },
}

/// Why an agent could not be dialled.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Dial {
    #[error("{0}")]
    Connect(Arc<io::Error>),
    #[error("TLS: {0}")]
    Tls(Arc<io::Error>),
    #[error("no answer within {:?}", limits::CONNECT_TIMEOUT)]
    Timeout,
    #[error("the connection was lost")]
    Lost,
}

/// A session's stream, both ways.
#[derive(Debug)]
pub(crate) struct Stream {
    /// To the agent. Dropping it says that the client is gone.
    pub to_agent: mpsc::Sender<FrontdoorMessage>,
    /// From the agent.
    pub from_agent: Streaming<AgentMessage>,
}

/// The ids of a session for both ends, each 32 lower-case hex digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<'a> {
    /// The session's id.
    pub session: &'a str,
    /// The id of its SSH connection.
    pub connection: &'a str,
}

/// The connections of one core to the agents.
#[derive(Debug)]
pub(crate) struct Agents {
    identity: Arc<Identity>,
    port: u16,
    channels: Mutex<HashMap<Link, Dialled>>,
}

/// Sessions with the same key share a connection. A stream waits behind everything else in its socket,
/// so terminals have a connection without transfers.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Link {
    node: String,
    terminal: bool,
}

/// A channel, and the address and certificate that it was dialled with. If either changes, the agent is
/// dialled anew.
#[derive(Debug)]
struct Dialled {
    address: IpAddr,
    tls: Arc<ClientConfig>,
    channel: Channel,
    /// When a session last began on it.
    used: Instant,
}

impl Agents {
    /// Dials agents at `port` of their nodes, showing `identity`.
    pub(crate) fn new(identity: Arc<Identity>, port: u16) -> Self {
        Self {
            identity,
            port,
            channels: Mutex::default(),
        }
    }

    /// Opens a stream at the agent of the grant's node, at this address, for what the grant allows.
    /// Programs start in `folder`.
    pub(crate) async fn open(
        &self,
        grant: Grant,
        address: IpAddr,
        ids: Ids<'_>,
        (action, folder): (open::Action, WorkingDirectory),
    ) -> Result<Stream, Error> {
        let node = grant.node().to_owned();
        let key = Link {
            node: node.clone(),
            terminal: matches!(&action, open::Action::Exec(exec) if exec.terminal.is_some()),
        };
        let channel = self.channel(&key, address, self.identity.client().await?)?;
        let open = Open {
            versions: Some(Versions {
                lowest: *limits::LINK_VERSIONS.start(),
                highest: *limits::LINK_VERSIONS.end(),
            }),
            release: limits::RELEASE.to_owned(),
            session_id: ids.session.to_owned(),
            connection_id: ids.connection.to_owned(),
            grant: Some(grant.into_message()),
            action: Some(action),
            working_directory: folder.into(),
        };
        let (to_agent, messages) = mpsc::channel(OUTBOUND);
        let first = FrontdoorMessage {
            message: Some(Message::Open(open.into())),
        };
        // The queue is new and holds it.
        let _ = to_agent.try_send(first);
        let mut client = AgentClient::new(channel)
            .max_decoding_message_size(limits::MAX_AGENT_MESSAGE)
            .max_encoding_message_size(limits::MAX_MESSAGE);
        let call = client.session(ReceiverStream::new(messages));
        match timeout(ACCEPT_TIMEOUT, call).await {
            Ok(Ok(response)) => Ok(Stream {
                to_agent,
                from_agent: response.into_inner(),
            }),
            Ok(Err(status)) => {
                self.forget(&key);
                Err(failure(node, status))
            }
            Err(_) => {
                self.forget(&key);
                Err(Error::Timeout { node })
            }
        }
    }

    fn channel(
        &self,
        key: &Link,
        address: IpAddr,
        tls: Arc<ClientConfig>,
    ) -> Result<Channel, Error> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // A replaced agent has another address, and a new certificate or CA must be shown and checked.
        // Sessions on the old connection keep it.
        if let Some(dialled) = channels.get_mut(key)
            && dialled.address == address
            && Arc::ptr_eq(&dialled.tls, &tls)
        {
            dialled.used = Instant::now();
            return Ok(dialled.channel.clone());
        }
        let ip = address;
        let address = SocketAddr::new(ip, self.port);
        let name = mtls::agent_name(&key.node)?;
        let config = Arc::clone(&tls);
        let dial = tower::service_fn(move |_| {
            let (name, config) = (name.clone(), Arc::clone(&config));
            async move {
                let dialled = timeout(limits::CONNECT_TIMEOUT, dial(address, name, config));
                dialled
                    .await
                    .unwrap_or(Err(Dial::Timeout))
                    .map(TokioIo::new)
            }
        });
        let endpoint = link::endpoint(address).map_err(Error::Address)?;
        let channel = endpoint.connect_with_connector_lazy(dial);
        // Dropping a channel closes it once its sessions are over.
        channels.retain(|_, dialled| dialled.used.elapsed() < UNUSED);
        if channels.len() >= MAX_LINKS {
            channels.clear();
        }
        let dialled = Dialled {
            address: ip,
            tls,
            channel: channel.clone(),
            used: Instant::now(),
        };
        channels.insert(key.clone(), dialled);
        Ok(channel)
    }

    /// Makes the next session dial anew.
    fn forget(&self, key: &Link) {
        self.channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

async fn dial(
    address: SocketAddr,
    name: rustls::pki_types::ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<LinkStream<TcpStream>>, Dial> {
    let connect = |error| Dial::Connect(Arc::new(error));
    let tls = |error| Dial::Tls(Arc::new(error));
    let tcp = TcpStream::connect(address).await.map_err(connect)?;
    let tcp = LinkStream::new(tcp).map_err(connect)?;
    let shaken = TlsConnector::from(config).connect(name.clone(), tcp).await;
    let mut stream = shaken.map_err(|error| match error.get_ref() {
        Some(cause) if cause.is::<rustls::Error>() => tls(error),
        // A connection that ends in the handshake says nothing of who the agent is.
        _ => connect(error),
    })?;
    mtls::check_peer(stream.get_ref().1.peer_certificates(), &name.to_str())
        .map_err(|error| tls(io::Error::other(error)))?;
    stream
        .get_mut()
        .1
        .set_buffer_limit(Some(limits::TLS_BUFFER));
    Ok(stream)
}

/// Finds the cause of a failed call: tonic hides the dialler's error among its sources.
fn failure(node: String, status: Status) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&status);
    while let Some(error) = cause {
        match error.downcast_ref::<Dial>() {
            Some(Dial::Tls(source)) => {
                let source = io::Error::new(source.kind(), source.to_string());
                return Error::Untrusted { node, source };
            }
            Some(dial) => {
                return Error::Unreachable {
                    node,
                    source: dial.clone(),
                };
            }
            None => cause = error.source(),
        }
    }
    match status.code() {
        Code::Unimplemented => Error::Version { node },
        Code::Unavailable | Code::Cancelled | Code::Unknown => Error::Unreachable {
            node,
            source: Dial::Lost,
        },
        code => Error::Refused {
            node,
            reason: match status.message() {
                "" => code.to_string(),
                words => shown::sentence(words),
            },
        },
    }
}
