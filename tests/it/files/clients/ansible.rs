//! Ansible's copy and fetch by each of its four ways, with and without its pipelining. It needs Python there,
//! so its container is a plain process of this machine, served by the machine's own programs.

use super::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn ansible() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let (local, there) = (Local::new(), Local::new());
    let (host, port, key, known) = stand.client.parts();
    let file = local.file("a b", 300_000);
    let inventory = format!(
        "pod ansible_host={host} ansible_port={port} ansible_user=demo ansible_ssh_private_key_file={} \
         ansible_ssh_common_args='-F none -o UserKnownHostsFile={} -o IdentityAgent=none' \
         ansible_python_interpreter=/usr/bin/python3\n",
        key.display(),
        known.display(),
    );
    std::fs::write(local.path("inventory"), inventory).unwrap();
    let (source, at, back) = (file.display(), there.path("file"), local.path("back"));
    let playbook = serde_json::json!([{
        "hosts": "pod",
        "gather_facts": false,
        "tasks": [
            {"ansible.builtin.copy": {"src": source.to_string(), "dest": &at, "mode": "0640"}},
            {"ansible.builtin.fetch": {"src": &at, "dest": &back, "flat": true}},
        ],
    }]);
    std::fs::write(local.path("play.yaml"), playbook.to_string()).unwrap();
    for method in ["smart", "sftp", "scp", "piped"] {
        for pipelining in ["0", "1"] {
            let mut ansible =
                Command::new(clients::installed("venv/bin/ansible-playbook").unwrap());
            ansible
                .env("HOME", local.path(""))
                .env("ANSIBLE_REMOTE_TMP", there.path(".ansible"));
            ansible.env("ANSIBLE_SSH_TRANSFER_METHOD", method);
            ansible.env("ANSIBLE_PIPELINING", pipelining);
            ansible
                .arg("-i")
                .arg(local.path("inventory"))
                .arg(local.path("play.yaml"));
            let told = runs(&mut ansible).await;
            assert!(told.contains("changed=2"), "{method} {pipelining}: {told}");
            same(&file, &at);
            same(&file, &back);
            std::fs::remove_file(&at).unwrap();
            std::fs::remove_file(&back).unwrap();
        }
    }
}
