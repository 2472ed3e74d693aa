//! Keys of the users file, and each option that authorized_keys may have in front of them.

use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::program::Output;
use podgate_tests::real::ssh::{Client, keygen};

use super::{AuthnStand, denied, replace};

/// A stand where ada's key has these options.
async fn ada(authn: &AuthnStand, options: &str) -> super::Somebody {
    let name = format!("ada-{}", authn.stand.dir().read_dir().unwrap().count());
    let ada = authn.somebody(&name).await;
    let users = format!(
        "- name: ada\n  groups: [dev]\n  keys: ['{options} {}']\n",
        ada.key
    );
    authn.users(&users);
    ada
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_users() {
    let authn =
        AuthnStand::new("authn: {keys: {userPrefix: 'ssh:', groupPrefix: 'team:'}}\n").await;
    ada(&authn, "").await.works().await;
    authn.logged_in("ssh:ada", "[\"team:dev\"]", "key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_and_expiry_time() {
    let authn = AuthnStand::new("").await;
    for options in [
        "from=\"127.0.0.1\"",
        "FROM=\"10.0.0.0/8,127.0.0.0/8\"",
        "from=\"127.*\"",
        "expiry-time=\"20990101\"",
        "expiry-time=\"209901012359Z\"",
    ] {
        ada(&authn, options).await.works().await;
    }
    for options in [
        "from=\"10.0.0.0/8\"",
        "from=\"127.0.0.0/8,!127.0.0.1\"",
        "expiry-time=\"20000101\"",
        "expiry-time=\"20990101\",expiry-time=\"20000101000000Z\"",
    ] {
        ada(&authn, options).await.is_denied().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_command_runs_whatever_is_asked_for() {
    let authn = AuthnStand::new("acceptEnv: [SSH_ORIGINAL_COMMAND]\n").await;
    let forced = r#"command="echo \"forced:${SSH_ORIGINAL_COMMAND-none}\"""#;
    let ada = ada(&authn, forced).await;
    assert_eq!(ada.prints(&[], "echo 'a  b'").await, "forced:echo 'a  b'\n");
    assert_eq!(ada.prints(&["-tt"], "id").await, "forced:id\n");
    // A shell, and a variable that the client makes up.
    let mut shell = ada
        .client
        .ssh(&["-oSetEnv=SSH_ORIGINAL_COMMAND=lie"], "demo");
    let output = shell.output().await.unwrap();
    assert_eq!(output.stdout, b"forced:none\n");
    // It takes the place of the subsystem that there is; others are refused.
    let output = ada.run(&["-s"], "sftp").await;
    assert_eq!(output.stdout, b"forced:internal-sftp\n", "{output:?}");
    let output = ada.run(&["-s"], "netconf").await;
    assert!(!output.status.success() && output.stdout.is_empty());
    let output = ada.client.feed("demo", "echo \u{fffd}", b"").await.unwrap();
    assert_eq!(output.stdout, "forced:echo \u{fffd}\n".as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_refused_and_permitted() {
    let authn = AuthnStand::new("").await;
    for (options, permitted) in [
        ("", true),
        ("no-pty", false),
        ("restrict", false),
        ("restrict,pty", true),
        ("no-pty,pty", true),
        ("pty,restrict", false),
    ] {
        let ada = ada(&authn, options).await;
        assert_eq!(ada.has_terminal().await, permitted, "{options:?}");
        // Without the option nothing is refused.
        ada.works().await;
    }
    // A client that goes on regardless gets no terminal.
    let ada = ada(&authn, "no-pty").await;
    let (key, host) = (ada.dir.join("id"), authn.stand.dir().join("host.pub"));
    let login = Login::new(authn.stand.frontdoor.port(), "demo", &key, &host).unwrap();
    let connection = login.connect().await.unwrap();
    let command = "test -t 0 || test -t 1 || echo none";
    let mut session = connection.terminal(Some(command)).await.unwrap();
    session.output.next().await.expect_err("the request fails");
    assert_eq!(session.wait().await.unwrap(), (b"none\n".to_vec(), 0));
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_what_is_not_there_restrict_and_let_in() {
    let authn = AuthnStand::new("").await;
    for options in [
        "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc",
        "restrict,port-forwarding,agent-forwarding,X11-forwarding,user-rc",
        "permitopen=\"db:5432\",permitopen=\"[::1]:*\",permitlisten=\"8080\"",
    ] {
        ada(&authn, options).await.works().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_option_refuses_its_key_alone() {
    let authn = AuthnStand::new("").await;
    for options in [
        "no-such-option",
        "environment=\"A=b\"",
        "tunnel=\"0\"",
        "cert-authority",
        "principals=\"ada\"",
        "from=\"db.example.com\"",
        "expiry-time=\"tomorrow\"",
        "no-pty,",
    ] {
        let ada = ada(&authn, options).await;
        let bob = authn
            .somebody(&format!(
                "bob-for-{}",
                ada.dir.file_name().unwrap().display()
            ))
            .await;
        let users = std::fs::read_to_string(authn.stand.dir().join("users.yaml")).unwrap();
        authn.users(&format!("{users}- {{name: bob, keys: ['{}']}}\n", bob.key));
        ada.is_denied().await;
        bob.works().await;
    }
    let wanted = |line: &serde_json::Value| {
        line["message"] == "a key is refused" && line["user"] == "ada" && line["number"] == 1
    };
    let logged = authn.stand.frontdoor.wait_log(super::SOON, wanted).await;
    logged.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_algorithms_prove_nothing() {
    let authn = AuthnStand::new("").await;
    let dir = authn.stand.dir().join("rsa");
    std::fs::create_dir(&dir).unwrap();
    let rsa = keygen(&dir.join("id"), &["-t", "rsa", "-b", "2048"])
        .await
        .unwrap();
    let weak = keygen(&dir.join("weak"), &["-t", "rsa", "-b", "1024"])
        .await
        .unwrap();
    authn.users(&format!("- {{name: ada, keys: ['{rsa}', '{weak}']}}\n"));
    let known = authn.stand.dir().join("known_hosts");
    std::fs::copy(known, dir.join("known_hosts")).unwrap();
    let client = Client::new(&dir, authn.stand.frontdoor.port());
    let run = async |options: &[&str]| client.run(options, "demo", "echo works").await.unwrap();
    for algorithm in ["rsa-sha2-256", "rsa-sha2-512"] {
        let option = format!("-oPubkeyAcceptedAlgorithms={algorithm}");
        assert_eq!(run(&[&option]).await.stdout, b"works\n", "{algorithm}");
    }
    denied(&run(&["-oPubkeyAcceptedAlgorithms=ssh-rsa"]).await);
    let weak = format!("-oIdentityFile={}", dir.join("weak").display());
    // ssh would find the right key after it, so it is taken away.
    std::fs::rename(dir.join("id"), dir.join("gone")).unwrap();
    denied(&run(&[&weak, "-oRequiredRSASize=1024"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_users_as_a_volume_is_mounted() {
    let authn = AuthnStand::new("").await;
    let ada = authn.somebody("ada").await;
    let bob = authn.somebody("bob").await;
    let users = authn.stand.dir().join("users.yaml");
    std::fs::remove_file(&users).unwrap();
    // A version is a hidden folder. `..data` leads to the current one, and the other names lead through
    // `..data` (kubelet's atomic writer).
    std::fs::create_dir(&users).unwrap();
    let version = |name: &str, people: &[(&str, &str)]| {
        let folder = users.join(name);
        std::fs::create_dir(&folder).unwrap();
        for (person, key) in people {
            let text = format!("- {{name: {person}, keys: ['{key}']}}\n");
            std::fs::write(folder.join(person), text).unwrap();
        }
        std::os::unix::fs::symlink(name, users.join("..data_tmp")).unwrap();
        std::fs::rename(users.join("..data_tmp"), users.join("..data")).unwrap();
    };
    version("..1", &[("ada", &ada.key)]);
    std::os::unix::fs::symlink("..data/ada", users.join("ada")).unwrap();
    ada.works().await;
    bob.is_denied().await;
    version("..2", &[("ada", &bob.key)]);
    bob.works().await;
    ada.is_denied().await;
    authn.logged_in("ada", "[]", "key").await;
    // A single file in place of the folder.
    std::fs::remove_dir_all(&users).unwrap();
    replace(users, &format!("- {{name: ada, keys: ['{}']}}\n", ada.key));
    ada.works().await;
}
