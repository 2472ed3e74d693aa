//! `kubectl podgate`, by real sh, curl and ssh. Of kubectl itself a script stands in that prints a token.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Desk, authority, issue};

const SOON: Duration = Duration::from_secs(30);

/// A user's home, and a folder of programs that come first on their PATH: a script for kubectl, and a
/// curl that records its arguments and then runs the real one.
struct Home {
    dir: PathBuf,
    path: String,
}

impl Home {
    fn new(dir: &Path, token: &str) -> Self {
        let programs = dir.join("programs");
        std::fs::create_dir_all(&programs).unwrap();
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plugin = plugin.join("../charts/podgate/kubectl-podgate");
        std::fs::copy(plugin, programs.join("kubectl-podgate")).unwrap();
        let own = std::env::var("PATH").unwrap();
        let note = |name: &str, then: &str| {
            let noted = dir.join(format!("{name}.args"));
            let text = format!(
                "#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{}'\n{then}\n",
                noted.display()
            );
            let file = programs.join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        };
        note("kubectl", &format!("echo '{token}'"));
        note("curl", &format!("PATH='{own}' exec curl \"$@\""));
        Self {
            path: format!("{}:{own}", programs.display()),
            dir: dir.to_owned(),
        }
    }

    async fn run(&self, args: &[&str], stdin: &str, token: Option<&str>) -> Output {
        let mut command = Command::new("kubectl-podgate");
        command.env_clear().env("PATH", &self.path);
        command.env("HOME", &self.dir).args(args);
        if let Some(token) = token {
            command.env("PODGATE_TOKEN", token);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // The program need not read it.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        child.wait_with_output().await.unwrap()
    }

    async fn works(&self, args: &[&str], stdin: &str, token: Option<&str>) -> String {
        let output = self.run(args, stdin, token).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn fails(&self, args: &[&str], words: &str) {
        let output = self.run(args, "", None).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(text.contains(words), "{args:?} gave {text:?}");
    }

    fn noted(&self, program: &str) -> String {
        std::fs::read_to_string(self.dir.join(format!("{program}.args"))).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_and_writes_what_ssh_needs() {
    let authority = authority().await;
    let trusted = authority.path().join("user_ca.pub");
    let changes = Changes {
        frontdoor: format!(
            "authn: {{certificates: [{{authorities: '{}', desk: true, trustSystem: true}}]}}\n",
            trusted.display()
        ),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let desk = Desk::start(authority, &stand.api, &stand.pki, "").await;
    let token = issue(&stand.api, "dev", "me");
    // A home folder's name may contain a space.
    let place = desk.path("a home");
    let home = Home::new(&place, &token);
    for file in ["id", "id.pub"] {
        std::fs::copy(desk.path(file), place.join(file)).unwrap();
    }
    let (key, ca) = (place.join("id"), desk.path("ca.crt"));
    let (key, ca) = (key.to_str().unwrap(), ca.to_str().unwrap());
    let to_desk = ["--desk", &desk.url, "--ca", ca, "--key", key];
    let login = |more: &'static [&'static str]| [&["login"], &to_desk[..], more].concat();
    let certificate = place.join("id-cert.pub");
    let help = home.works(&["login", "--help"], "", None).await;
    assert!(help.contains("--token-file FILE"), "{help}");

    let said = home
        .works(&login(&["--serviceaccount=me", "-n", "dev"]), "", None)
        .await;
    assert!(said.contains("system:serviceaccount:dev:me"), "{said}");
    assert!(said.contains("until "), "{said}");
    assert_eq!(
        home.noted("kubectl"),
        "create\ntoken\nme\n--audience\npodgate\n--namespace\ndev\n"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&certificate), 0o644);

    // The host key is as the frontdoor's log has it.
    let told = stand
        .frontdoor
        .wait_log(SOON, |line| line["message"] == "host key");
    let told = told.await.unwrap();
    let host = told["key"].as_str().unwrap();
    let file = std::fs::read_to_string(stand.dir().join("host.pub")).unwrap();
    assert!(file.starts_with(host), "{host}: {file}");
    let port = stand.frontdoor.port().to_string();
    let config = [
        "config",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--key",
        key,
    ];
    let config = [&config[..], &["--host-key", host]].concat();
    let printed = home.works(&config, "", None).await;
    assert!(printed.contains("Host podgate\n"), "{printed}");
    assert!(
        printed.contains(&format!("[127.0.0.1]:{port} ")),
        "{printed}"
    );
    let written = home
        .works(&[&config[..], &["--write"]].concat(), "", None)
        .await;
    assert!(written.contains("Include podgate.conf"), "{written}");
    let file = place.join(".ssh/podgate.conf");
    assert_eq!(mode(&file), 0o600);
    // ssh itself passes the name after -F to ProxyJump's ssh without quotes.
    let all = desk.path("ssh_config");
    std::fs::write(&all, format!("Include \"{}\"\n", file.display())).unwrap();
    for host in ["podgate", "whoami.pod"] {
        let who = Command::new("ssh")
            .arg("-F")
            .arg(&all)
            .args(["-oBatchMode=yes", "-oIdentityAgent=none", host])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&who.stderr);
        let who = String::from_utf8_lossy(&who.stdout);
        assert!(who.contains("source: kubernetes\n"), "{host}: {who}{text}");
    }

    // A token that is given: from stdin, from a file, from the environment.
    for (args, stdin, given) in [
        (login(&["--token-file", "-"]), token.as_str(), None),
        (login(&[]), "", Some(token.as_str())),
    ] {
        std::fs::remove_file(&certificate).unwrap();
        home.works(&args, stdin, given).await;
        assert!(certificate.exists());
    }
    let arguments = home.noted("curl");
    assert!(arguments.contains("--cacert"), "{arguments}");
    assert!(!arguments.contains(&token), "the token is an argument");

    // A failure leaves the last certificate in place, makes no other file, and says why.
    let before = std::fs::read(&certificate).unwrap();
    stand.api.remove_token(&token);
    home.fails(&login(&["--serviceaccount", "me"]), "the desk answers 401")
        .await;
    assert_eq!(std::fs::read(&certificate).unwrap(), before);
    let left = std::fs::read_dir(&place).unwrap();
    let left = left.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.contains("-cert.pub")).count(), 1);
    home.fails(&login(&[]), "--serviceaccount").await;
    home.fails(&["login", "--desk", "http://x"], "no https URL")
        .await;
    home.fails(
        &login(&["--desk", "https://127.0.0.1:1", "--serviceaccount=me"]),
        "cannot be asked",
    )
    .await;
    home.fails(&["config", "--host", "a b"], "not usable").await;
    home.fails(&["logout"], "login").await;
}
