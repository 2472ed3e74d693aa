//! An SSH client in this process, for tests that would need too many OpenSSH processes, or that cannot
//! wait for one to start. It checks the server's host key, and always agrees on curve25519 and
//! aes128-gcm.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use russh::client::{self, Handle, Msg};
use russh::keys::{
    Certificate, PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
    load_public_key, load_secret_key,
};
use russh::{
    ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Preferred, Sig, cipher, kex,
};
use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::fixtures::stand::Stand;
use crate::instruments::program::{Input, Output, Program};

/// Where to log in, as whom, and by which key.
#[derive(Clone)]
pub struct Login {
    address: SocketAddr,
    name: String,
    key: Arc<PrivateKey>,
    certificate: Option<Certificate>,
    host: PublicKey,
    config: Arc<client::Config>,
}

impl Login {
    /// At a server of the loopback, by the private key `key`; the server's public key is in `host`.
    ///
    /// # Errors
    /// When a file holds no key.
    pub fn new(port: u16, name: &str, key: &Path, host: &Path) -> Result<Self> {
        let preferred = Preferred {
            kex: Cow::Borrowed(&[
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::EXTENSION_SUPPORT_AS_CLIENT,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            ]),
            cipher: Cow::Borrowed(&[cipher::AES_128_GCM]),
            ..Preferred::DEFAULT
        };
        let config = client::Config {
            preferred,
            ..client::Config::default()
        };
        Ok(Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            name: name.to_owned(),
            key: Arc::new(load_secret_key(key, None)?),
            certificate: None,
            host: load_public_key(host)?,
            config: Arc::new(config),
        })
    }

    /// The same by a certificate of the key, whatever it certifies; ssh would not show all.
    ///
    /// # Errors
    /// When the file holds none.
    pub fn with_certificate(mut self, path: &Path) -> Result<Self> {
        self.certificate = Some(Certificate::read_file(path)?);
        Ok(self)
    }

    /// At a stand's frontdoor, to a target.
    ///
    /// # Errors
    /// When the stand's keys are gone.
    pub fn to(stand: &Stand, target: &str) -> Result<Self> {
        let (key, host) = (stand.dir().join("id"), stand.dir().join("host.pub"));
        Self::new(stand.frontdoor.port(), target, &key, &host)
    }

    /// Connects, and exchanges keys, but does not log in.
    ///
    /// # Errors
    /// When the server is not the one that is expected.
    pub async fn greet(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        // A server that has not yet turned off Nagle's algorithm, such as sshd before a session, would
        // wait 40 ms for each delayed acknowledgement.
        sockopt::set_tcp_quickack(&stream, true)?;
        let host = Host(self.host.clone());
        let handle = client::connect_stream(Arc::clone(&self.config), stream, host).await?;
        Ok(Connection { handle })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When the server does not let it in.
    pub async fn connect(&self) -> Result<Connection> {
        let Connection { mut handle } = self.greet().await?;
        let (name, key) = (self.name.as_str(), Arc::clone(&self.key));
        let answer = match self.certificate.clone() {
            Some(certificate) => {
                let login = handle.authenticate_openssh_cert(name, key, certificate);
                login.await?
            }
            None => {
                let key = PrivateKeyWithHashAlg::new(key, None);
                handle.authenticate_publickey(name, key).await?
            }
        };
        ensure!(answer.success(), "no login: {answer:?}");
        Ok(Connection { handle })
    }
}

/// The expected server.
struct Host(PublicKey);

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(matches!(key, PublicKeyOrCertificate::PublicKey { key, .. }
            if key.key_data() == self.0.key_data()))
    }
}

/// A connection that is logged in.
pub struct Connection {
    handle: Handle<Host>,
}

/// A shell or command on a channel.
pub type Session = Program<ToServer, FromServer>;

impl Connection {
    /// Runs a command.
    ///
    /// # Errors
    /// When the channel is refused.
    pub async fn exec(&self, command: &str) -> Result<Session> {
        let (read, write) = self.handle.channel_open_session().await?.split();
        write.exec(true, command).await?;
        Ok(session(read, write))
    }

    /// Runs a command on a terminal, or a shell where there is none.
    ///
    /// # Errors
    /// When the channel is refused.
    pub async fn terminal(&self, command: Option<&str>) -> Result<Session> {
        let (read, write) = self.handle.channel_open_session().await?.split();
        write.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await?;
        match command {
            Some(command) => write.exec(true, command).await?,
            None => write.request_shell(true).await?,
        }
        Ok(session(read, write))
    }

    /// Opens a session's channel, and asks for nothing on it.
    ///
    /// # Errors
    /// When the channel is refused.
    pub async fn channel(&self) -> Result<Session> {
        let (read, write) = self.handle.channel_open_session().await?.split();
        Ok(session(read, write))
    }

    /// Asks for a listener at the server (RFC 4254 §7.1). Gives the port, where any was asked for. What
    /// comes to it is refused.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn listen(&self, host: &str, port: u32) -> Result<u32> {
        Ok(self.handle.tcpip_forward(host, port).await?)
    }

    /// Asks for a sign of life, and waits for it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.handle.send_ping().await?)
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Says goodbye, and returns when the socket is closed.
    pub async fn close(self) {
        // A broken connection is closed already. russh ends with an error in both cases.
        let _ = self
            .handle
            .disconnect(Disconnect::ByApplication, "", "")
            .await;
        let _ = self.handle.await;
    }
}

fn session(read: ChannelReadHalf, write: ChannelWriteHalf<Msg>) -> Session {
    Program {
        input: ToServer(write),
        output: FromServer { read, status: None },
    }
}

/// A channel's data to the server.
pub struct ToServer(ChannelWriteHalf<Msg>);

impl ToServer {
    /// Asks for a signal to the program (RFC 4254 §6.9).
    ///
    /// # Errors
    /// When the channel is gone.
    pub async fn signal(&self, signal: Sig) -> Result<()> {
        Ok(self.0.signal(signal).await?)
    }

    /// Tells of another size of the client's terminal (RFC 4254 §6.7).
    ///
    /// # Errors
    /// When the channel is gone.
    pub async fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        Ok(self.0.window_change(columns, rows, 0, 0).await?)
    }
}

impl Input for ToServer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        Ok(self.0.data_bytes(bytes).await?)
    }

    async fn end(&mut self) -> Result<()> {
        Ok(self.0.eof().await?)
    }
}

/// A channel's data from the server.
pub struct FromServer {
    read: ChannelReadHalf,
    status: Option<u32>,
}

impl FromServer {
    /// Waits for the exit status, which may come before the end of the output. Output before it is lost.
    ///
    /// # Errors
    /// When the channel ends without one.
    pub async fn ended(&mut self) -> Result<u32> {
        while self.status.is_none() {
            let message = self.read.wait().await.context("the channel is gone")?;
            match message {
                ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
                ChannelMsg::Close => anyhow::bail!("it ended without a status"),
                _ => {}
            }
        }
        self.status.context("there is one")
    }
}

impl Output for FromServer {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(message) = self.read.wait().await {
            match message {
                ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => {
                    return Ok(Some(data));
                }
                ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
                // As a shell would tell it.
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    self.status = Some(128 + number(&signal_name)?);
                }
                ChannelMsg::Close => return Ok(None),
                ChannelMsg::Failure => anyhow::bail!("the server refused a request"),
                _ => {}
            }
        }
        Ok(None)
    }

    fn status(&self) -> Option<u32> {
        self.status
    }
}

/// A signal's number on Linux.
fn number(signal: &russh::Sig) -> Result<u32> {
    use russh::Sig;
    Ok(match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        other => anyhow::bail!("no test asks for {other:?}"),
    })
}
