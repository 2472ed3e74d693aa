//! A stand whose sessions are recorded, a page that shows the recordings, and curl in place of a browser.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::apiserver::{Rbac, Token, group, rule, user};
use podgate_tests::stand_ins::issuer::unsigned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

pub(super) const SOON: Duration = Duration::from_secs(30);
/// How users reach the page, as the configurations have it. Its tests go to its port.
pub(super) const URL: &str = "https://recordings.example.com";

pub(super) struct Page {
    pub(super) stand: Stand,
    pub(super) part: Part,
    pub(super) dir: TempDir,
}

/// What curl got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Page {
    /// With these lines in its configuration.
    pub(super) async fn start(lines: &str) -> Self {
        Self::start_recording("", lines).await
    }

    /// With these lines among the frontdoor's recordings, and these in its own configuration.
    pub(super) async fn start_recording(recordings: &str, lines: &str) -> Self {
        Self::start_at("store: 'file://DIR/store'\n", recordings, lines).await
    }

    /// The same with a store of these lines, which have DIR for its folder.
    pub(super) async fn start_at(store: &str, recordings: &str, lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
        std::fs::write(dir.path().join("key"), key).unwrap();
        let store = store.replace("DIR", &path);
        std::fs::write(dir.path().join("store.yaml"), &store).unwrap();
        let store = store.replace('\n', "\n  ");
        let frontdoor = format!(
            "audit: {{to: '{path}/audit'}}\nrecordings:\n  {store}\
             page: {{url: '{URL}', key: {{file: '{path}/key'}}}}\n  rules: [{{record: bestEffort}}]\n{recordings}"
        );
        let changes = Changes {
            frontdoor,
            ..Changes::default()
        };
        let stand = Stand::embedded(changes).await.unwrap();
        let enter = rule(&["create"], &[""], &["pods/exec"]);
        let see = rule(&["list", "get"], &["podgate.io"], &["recordings"]);
        let rbac = Rbac::default()
            .cluster_role("enter", &[enter])
            .cluster_role("see", &[see])
            .bind(
                "default",
                "dev",
                "ClusterRole/enter",
                &[group("dev"), user("bo")],
            )
            .bind("default", "audit", "ClusterRole/see", &[group("dev")]);
        stand.api.set_rbac(rbac);
        let folder = dir.path();
        stand.api.kubeconfig(&folder.join("kubeconfig")).unwrap();
        let certificate = stand.pki.issue(&["127.0.0.1", "localhost"]).unwrap();
        certificate.write(folder, "page").unwrap();
        stand.pki.write_ca(folder).unwrap();
        let part = Self::another(folder, lines).await;
        Self { stand, part, dir }
    }

    /// Another replica of the program.
    pub(super) async fn another(folder: &Path, lines: &str) -> Part {
        let store = std::fs::read_to_string(folder.join("store.yaml")).unwrap();
        let config = format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nkubeconfig: 'DIR/kubeconfig'\nurl: {URL}\n\
             tls: {{cert: 'DIR/page.crt', key: 'DIR/page.key'}}\n{store}\
             key: {{file: 'DIR/key'}}\ntokens: {{audience: podgate-page}}\naudit: {{to: 'DIR/page-audit'}}\n\
             log: {{format: json, level: debug}}\n{lines}"
        );
        let config = config.replace("DIR", &folder.display().to_string());
        let file = tempfile::NamedTempFile::new_in(folder).unwrap();
        std::fs::write(file.path(), config).unwrap();
        Part::start("podgate-replay", file.path()).await.unwrap()
    }

    /// A file of its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// curl for a path, with these arguments.
    pub(super) async fn get(&self, path: &str, arguments: &[&str]) -> Answer {
        self.get_at(&self.part, path, arguments).await
    }

    /// The same at another replica.
    pub(super) async fn get_at(&self, part: &Part, path: &str, arguments: &[&str]) -> Answer {
        let output = self.curl(part, path).args(arguments).output().await;
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).unwrap_or_default();
        Answer {
            status: status.parse().unwrap_or_default(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(super) fn curl(&self, part: &Part, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "-m", "60", "--path-as-is", "--cacert"])
            .arg(self.path("ca.crt"))
            .arg(format!("https://127.0.0.1:{}{path}", part.port()));
        curl
    }

    /// What the page's own form sends.
    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        let origin = format!("Origin: {URL}");
        self.get(path, &["-H", &origin, "--data-binary", body])
            .await
    }

    /// Opens a link four times at once, at this replica and another.
    pub(super) async fn race(&self, other: &Part, link: &str) -> [Answer; 4] {
        let origin = format!("Origin: {URL}");
        let arguments = ["-X", "POST", "-H", &origin];
        let at = |part| self.get_at(part, link, &arguments);
        let answers = tokio::join!(at(&self.part), at(other), at(&self.part), at(other));
        answers.into()
    }

    /// Runs a command in a pod, and gives its recording's name.
    pub(super) async fn record(&self, command: &str) -> String {
        let before = self.names().await;
        self.stand.client.run(&[], "demo", command).await.unwrap();
        // Those that began in the same second come in no order, so the new one need not be the first.
        let one = || async {
            let mut names = self.names().await.into_iter();
            names.find(|name| !before.contains(name))
        };
        eventually("a recording", SOON, one).await.unwrap()
    }

    /// The ended recordings' names.
    async fn names(&self) -> Vec<String> {
        let (_, lines, _) = ask(&self.stand.client, "recordings --json").await;
        let entries = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ended = entries.filter(|entry| !entry["end"].is_null());
        let name = |entry: Value| {
            entry["header"]["podgate"]["recording"]
                .as_str()
                .map(str::to_owned)
        };
        ended.filter_map(name).collect()
    }

    /// The path of a link to a recording.
    pub(super) async fn link(&self, id: &str) -> String {
        self.link_by(&self.stand.client, id).await
    }

    /// The same by this client.
    pub(super) async fn link_by(&self, client: &Client, id: &str) -> String {
        let (status, url, told) = ask(client, &format!("link {id}")).await;
        assert_eq!(status, Some(0), "{told}");
        assert!(told.contains("good for 10 minutes, and once"), "{told}");
        let path = url.trim_end().strip_prefix(URL).unwrap().to_owned();
        assert!(path.starts_with("/link/"), "{path}");
        // With its tag.
        assert_eq!(path.len(), 54, "{path}");
        path
    }

    /// Signs in by a link to a recording, and gives the header with the cookie.
    pub(super) async fn sign_in(&self, id: &str) -> String {
        let link = self.link(id).await;
        let entered = self.post(&link, "").await;
        assert_eq!(entered.status, 303, "{entered:?}");
        entered.cookie()
    }

    /// A Kubernetes token of somebody.
    pub(super) fn token(
        &self,
        user: &str,
        groups: &[&str],
        audiences: Value,
        lasts: i64,
    ) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let expires = now.unwrap().as_secs().saturating_add_signed(lasts);
        let claims = json!({"aud": audiences, "exp": expires, "jti": fastrand::u64(..)});
        let bearer = unsigned(&claims);
        let token = groups
            .iter()
            .fold(Token::of(user), |token, group| token.group(group));
        self.stand
            .api
            .add_token(&bearer, token.audience("podgate-page"));
        bearer
    }

    /// Events of its audit log.
    pub(super) fn audit(&self, event: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("page-audit")).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event).collect()
    }
}

impl Answer {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut named = pairs.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value)
    }

    /// The cookie that it sets, as a header of a request.
    pub(super) fn cookie(&self) -> String {
        let set = self.header("set-cookie").expect("a cookie");
        let (pair, _) = set.split_once(';').expect("attributes");
        format!("Cookie: {pair}")
    }
}

/// Runs a command of login name `podgate`: its status, stdout and stderr.
pub(super) async fn ask(client: &Client, command: &str) -> (Option<i32>, String, String) {
    let output = client.run(&[], "podgate", command).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
