//! Programs: PuTTY's, curl, lftp, rclone, sshfs, Terraform.

use std::process::Stdio;

use super::*;

/// The fingerprint of the frontdoor's host key of this kind, as `ssh-keygen -l` shows it.
async fn fingerprint(known: &Path, kind: &str) -> String {
    let mut keygen = Command::new("ssh-keygen");
    let shown = runs(keygen.arg("-lf").arg(known)).await;
    let line = shown.lines().find(|line| line.contains(kind)).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

/// It follows links, and its folders are the client's own.
#[tokio::test(flavor = "multi_thread")]
async fn psftp() {
    let round = Round::new(Lacks {
        links: true,
        ..Lacks::default()
    })
    .await;
    let (host, port, key, known) = round.node.stand.client.parts();
    let (ppk, batch) = (round.word("id.ppk"), round.word("batch"));
    let mut puttygen = Command::new("puttygen");
    let puttygen = puttygen.arg(key).args(["-O", "private", "-o", &ppk]);
    runs(puttygen).await;
    let (tree, back) = (round.word("tree"), round.word("back"));
    let lines =
        format!("put -r {tree} {THERE}\nget -r {THERE} {back}\nmv {THERE}/plain {THERE}/p\n");
    std::fs::write(&batch, lines).unwrap();
    let mut psftp = Command::new("psftp");
    psftp.args(["-batch", "-P", &port.to_string(), "-l", POD, "-i", &ppk]);
    psftp.args(["-hostkey", &fingerprint(&known, "ED25519").await]);
    runs(psftp.args(["-b", &batch, host])).await;
    round.is_back();
}

/// curl, which is libssh2 for most, sends and fetches single files and lists folders.
#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    let round = Round::with(|_| {}).await;
    let (host, port, key, known) = round.node.stand.client.parts();
    std::fs::create_dir(round.local.path(".ssh")).unwrap();
    std::fs::copy(&known, round.local.path(".ssh/known_hosts")).unwrap();
    let curl = |url: &str| {
        let mut curl = Command::new("curl");
        curl.env("HOME", round.word(""));
        curl.args(["-sS", "--fail", "--user", &format!("{POD}:"), "--key"]);
        curl.arg(&key)
            .arg("--pubkey")
            .arg(key.with_extension("pub"));
        curl.arg(format!("sftp://{host}:{port}{url}"));
        curl
    };
    for name in NAMES {
        let file = round.local.file("file", 300_000);
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (url, back) = (format!("{THERE}/{escaped}"), round.local.path("back"));
        runs(curl(&url).args(["--ftp-create-dirs", "-T"]).arg(&file)).await;
        runs(curl(&url).arg("-o").arg(&back)).await;
        same(&file, &back);
    }
    let listed = runs(&mut curl(&format!("{THERE}/"))).await;
    assert!(listed.contains(" plain\n"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn lftp() {
    let round = Round::new(Lacks::default()).await;
    let (tree, back) = (round.word("tree"), round.word("back"));
    let commands = format!(
        "set net:max-retries 1; set sftp:charset; set file:charset; set cmd:fail-exit yes; \
         set sftp:connect-program \"{} -a -x\"; open -u {POD}, sftp://{}; \
         mirror -R --no-perms {tree} {THERE}; mirror --no-perms {THERE} {back}; bye",
        round.ssh(),
        round.node.stand.client.parts().0,
    );
    runs(Command::new("lftp").arg("-c").arg(commands)).await;
    round.is_back();
}

/// Its own names are UTF-8, and links are files of its own there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn rclone() {
    let round = Round::new(Lacks {
        bytes: true,
        links: true,
        ..Lacks::default()
    })
    .await;
    let (host, port, key, known) = round.node.stand.client.parts();
    let (tree, back, config) = (round.word("tree"), round.word("back"), round.word("conf"));
    let lines = format!(
        "[pod]\ntype = sftp\nhost = {host}\nport = {port}\nuser = {POD}\nkey_file = {}\n\
         known_hosts_file = {}\ndisable_hashcheck = true\n",
        key.display(),
        known.display(),
    );
    std::fs::write(&config, lines).unwrap();
    let at = format!("pod:{THERE}");
    for words in [
        &["copy", "--create-empty-src-dirs", &tree, &at][..],
        &["check", "--download", &tree, &at],
        &["copy", "--create-empty-src-dirs", &at, &back],
    ] {
        let mut rclone = Command::new("rclone");
        runs(
            rclone
                .args(["--config", &config, "--retries", "1"])
                .args(words),
        )
        .await;
    }
    round.is_back();
}

/// A mounted folder, until it is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut umount = std::process::Command::new("umount");
        let _ = umount.arg("-l").arg(&self.0).status();
    }
}

/// Some kernels let nobody read a link through FUSE, whatever serves it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn sshfs() {
    if std::env::var("PODGATE_WITHOUT").is_ok_and(|left| left.split(',').any(|it| it == "fuse")) {
        return;
    }
    let round = Round::new(Lacks {
        links: true,
        ..Lacks::default()
    })
    .await;
    let (tree, back, at) = (round.word("tree"), round.word("back"), round.word("mount"));
    std::fs::create_dir(&at).unwrap();
    let from = format!("{}:/", round.node.stand.client.address(POD));
    let mut sshfs = Command::new("sshfs");
    let ssh = format!("ssh_command={}", round.ssh());
    // It goes on in the background, and must not hold this test's pipes.
    sshfs.args([&from, &at, "-o", &ssh]).stdout(Stdio::null());
    let sshfs = sshfs.stdin(Stdio::null()).stderr(Stdio::null());
    let status = tokio::time::timeout(WITHIN, sshfs.status()).await;
    assert!(status.unwrap().unwrap().success(), "sshfs cannot mount");
    let _mounted = Mounted(round.local.path("mount"));
    let there = format!("{at}{THERE}");
    for words in [
        &["cp", "-r", "-P", &tree, &there][..],
        &["cp", "-r", "-P", &there, &back],
        &["mv", &format!("{there}/plain"), &format!("{there}/empty")],
        &["truncate", "-s", "3", &format!("{there}/empty")],
        &["ln", &format!("{there}/empty"), &format!("{there}/hard")],
        &["grep", "-qx", "sma", &format!("{there}/hard")],
        &["df", &there],
        &["rm", "-r", &there],
    ] {
        runs(Command::new(words[0]).args(&words[1..])).await;
    }
    round.is_back();
}

/// Its provisioner of files, which speaks scp's old protocol, in an image without scp.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn terraform() {
    let round = Round::new(Lacks {
        links: true,
        newline: true,
        ..Lacks::default()
    })
    .await;
    let (host, port, key, _) = round.node.stand.client.parts();
    let key = key.display();
    let tree = round.word("tree");
    let plan = format!(
        r#"
resource "terraform_data" "files" {{
  connection {{
    type = "ssh"
    host = "{host}"
    port = {port}
    user = "{POD}"
    private_key = file("{key}")
    agent = false
    timeout = "60s"
  }}
  provisioner "file" {{
    source = "{tree}/"
    destination = "{THERE}"
  }}
  provisioner "file" {{
    content = "told"
    destination = "{THERE}/content"
  }}
}}
"#
    );
    let folder = round.local.path("terraform");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("main.tf"), plan).unwrap();
    // It makes no folder for a tree.
    succeeds(&sftp(&round.node.stand, POD, &format!("mkdir {THERE}\n")).await);
    for words in [&["init"][..], &["apply", "-auto-approve"]] {
        let mut terraform = Command::new("terraform");
        terraform.env("TF_CLI_CONFIG_FILE", "/dev/null");
        terraform.env("CHECKPOINT_DISABLE", "1");
        runs(terraform.current_dir(&folder).args(words)).await;
    }
    let (from, back) = (
        format!("{}:{THERE}", round.node.stand.client.address(POD)),
        round.word("back"),
    );
    let mut scp = round.node.stand.client.tool("scp");
    runs(scp.args(["-r", &from, &back])).await;
    let told = round.local.path("back/content");
    assert_eq!(std::fs::read(&told).unwrap(), b"told");
    std::fs::remove_file(told).unwrap();
    round.is_back();
}
