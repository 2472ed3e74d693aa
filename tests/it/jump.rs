//! `ssh -J frontdoor pod`: pods as host names, by OpenSSH's own clients and the ssh_config of the
//! README and docs/targets.md.

mod bounds;
mod login;
mod way;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::stand_ins::cluster::pod;
use podgate_tests::stand_ins::embedded::EmbeddedContainer;
use tokio::process::Command;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

/// A stand, beside `demo` with a pod `web-0` of namespace `prod`, which has containers main and proxy.
async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        agent: "hangUpGraceSeconds: 1\n".to_owned(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let web = pod("prod", "web-0", "web-0-uid", NODE, NODE_IP);
    let web = ["main", "proxy"].into_iter().fold(web, |web, name| {
        let env = vec![("CONTAINER".to_owned(), name.to_owned())];
        let container = EmbeddedContainer {
            env,
            ..EmbeddedContainer::default()
        };
        let id = format!("web-0-{name}");
        stand.embedded.as_ref().unwrap().container(&id, container);
        web.container(name, &id)
    });
    stand.cluster.add(web);
    stand
}

/// A user's ssh_config.
struct Jumper {
    config: PathBuf,
    dir: PathBuf,
}

impl Jumper {
    /// A session that echoes lines, which is checked once.
    async fn echo(&self) -> Echo {
        Echo::start(self.ssh(&["demo.pod", "cat"])).await.unwrap()
    }

    /// With the stand's own key, and lines for the frontdoor's host.
    fn new(stand: &Stand, frontdoor: &str) -> Self {
        Self::with(stand, "id", "id", frontdoor)
    }

    /// With a key outside and a key inside, files of the stand's folder.
    fn with(stand: &Stand, outer: &str, inner: &str, frontdoor: &str) -> Self {
        let dir = stand.dir().to_owned();
        let (folder, port) = (dir.display(), stand.frontdoor.port());
        let text = format!(
            "Host frontdoor\n  HostName 127.0.0.1\n  Port {port}\n  User whoever\n  \
             IdentityFile {folder}/{outer}\n{frontdoor}\n\
             Host *.pod\n  ProxyJump frontdoor\n  IdentityFile {folder}/{inner}\n\
             Host frontdoor *.pod\n  HostKeyAlias podgate.example.com\n  \
             UserKnownHostsFile {folder}/known_alias\n\
             Host *\n  GlobalKnownHostsFile none\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             StrictHostKeyChecking yes\n  BatchMode yes\n"
        );
        let config = dir.join(format!("config-{}", dir.read_dir().unwrap().count()));
        std::fs::write(&config, text).unwrap();
        let host = std::fs::read_to_string(dir.join("host.pub")).unwrap();
        let known = format!("podgate.example.com {host}");
        std::fs::write(dir.join("known_alias"), known).unwrap();
        Self { config, dir }
    }

    /// A program that takes ssh's `-F`.
    fn program(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(&self.config).args(words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn ssh(&self, words: &[&str]) -> Command {
        self.program("ssh", words)
    }

    async fn run(&self, words: &[&str]) -> Output {
        output(self.ssh(words)).await
    }

    /// What a command prints.
    async fn prints(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is printed for a jump that must be refused.
    async fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(255), "{words:?}: {text}");
        assert!(output.stdout.is_empty(), "{words:?}: {text}");
        text
    }
}

async fn output(mut command: Command) -> Output {
    let output = timeout(SOON, command.output()).await;
    output.expect("it does not end").unwrap()
}
