//! OpenSSH's server on the loopback, with the stand's keys and the client's key exchange and cipher,
//! for the user who runs this.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::instruments::client::Login;
use crate::instruments::eventually::eventually;
use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const PATH: &str = "/usr/sbin/sshd";
const SOON: Duration = Duration::from_secs(5);

/// A running server; killed on drop.
pub struct Sshd {
    /// Where to log in.
    pub login: Login,
    /// Where it listens.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    child: Child,
}

impl Sshd {
    /// Starts it, with the keys in `dir`. `None` if it is not installed.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub async fn start(dir: &Path) -> Result<Option<Self>> {
        if !Path::new(PATH).exists() {
            return Ok(None);
        }
        let user = Command::new("id").arg("-un").output().await?;
        let user = String::from_utf8(user.stdout)?.trim().to_owned();
        // The user's own start-up files are not to be measured, so HOME is an empty folder. sshd does
        // not accept port 0.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = dir.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host\nPidFile none\n\
             AuthorizedKeysFile {path}/id.pub\nStrictModes no\nPermitRootLogin yes\nUsePAM no\n\
             PasswordAuthentication no\nMaxStartups 2000\nMaxSessions 100\nLogLevel FATAL\n\
             SetEnv HOME={path}\nSubsystem sftp internal-sftp\n\
             KexAlgorithms curve25519-sha256\nCiphers aes128-gcm@openssh.com\n"
        );
        let file = dir.join("sshd_config");
        std::fs::write(&file, config)?;
        let child = program()
            .arg("-De")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context(PATH)?;
        let up = || async { TcpStream::connect(("127.0.0.1", port)).await.ok() };
        eventually("sshd", SOON, up).await?;
        let login = Login::new(port, &user, &dir.join("id"), &dir.join("host.pub"))?;
        Ok(Some(Self {
            login,
            port,
            user,
            child,
        }))
    }

    /// How many connections it serves: a child each.
    pub fn connections(&self) -> usize {
        let pid = self.child.id().unwrap_or_default();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.unwrap_or_default().split_whitespace().count()
    }
}

/// sshd. Its privilege separation wants the folder /run/sshd, so as root it gets a /run of its own.
fn program() -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(PATH);
    }
    let script = "mount -t tmpfs none /run && mkdir /run/sshd && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", PATH]);
    command
}
