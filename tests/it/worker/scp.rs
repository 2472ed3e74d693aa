//! scp's old protocol, by OpenSSH's client.

use std::process::Output;

use super::{Small, Worker, fails, same, succeeds, tree};

/// Stands in for ssh: runs the command that it is given, with the worker in place of scp. The client
/// quotes nothing in the names that the tests use.
const SSH: &str = r#"
for command; do :; done
set -f
flags= path=
for word in ${command#scp }; do
    case $word in
    --) ;;
    -*) flags="$flags $word" ;;
    *) path="$path $word" ;;
    esac
done
exec $WORKER scp $flags -- $path
"#;

impl Worker {
    fn scp(&self, arguments: &[&str]) -> Output {
        let mut scp = self.command("scp");
        scp.arg("-O").arg("-S").arg(self.server()).args(arguments);
        scp.output().unwrap()
    }
}

#[test]
fn files_go_and_come_back_as_they_were() {
    let worker = Worker::new(SSH);
    tree(&worker.work().join("here"));
    succeeds(&worker.scp(&["-rp", "here", "pod:there"]));
    succeeds(&worker.scp(&["-rp", "pod:there", "back"]));
    same(&worker.work().join("here"), &worker.work().join("there"));
    same(&worker.work().join("here"), &worker.work().join("back"));
}

#[test]
fn one_file_replaces_another() {
    let worker = Worker::new(SSH);
    let work = worker.work();
    std::fs::write(work.join("short"), "short").unwrap();
    std::fs::write(work.join("there"), "a longer one").unwrap();
    succeeds(&worker.scp(&["short", "pod:there"]));
    assert_eq!(
        std::fs::read_to_string(work.join("there")).unwrap(),
        "short"
    );
}

#[test]
fn what_fails_for_one_file_is_told_and_the_next_one_comes() {
    let worker = Worker::new(SSH);
    let work = worker.work();
    std::fs::write(work.join("a"), "a").unwrap();
    std::fs::create_dir(work.join("d")).unwrap();
    std::fs::create_dir(work.join("to")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(work.join("f"))
        .status();
    assert!(fifo.unwrap().success());
    let said = fails(&worker.scp(&["pod:missing", "pod:d", "pod:f", "pod:a", "to"]));
    assert!(
        said.contains("missing: No such file or directory"),
        "{said}"
    );
    for path in ["d", "f"] {
        let expect = format!("{path}: not a regular file");
        assert!(said.contains(&expect), "{said}");
    }
    assert_eq!(std::fs::read_to_string(work.join("to/a")).unwrap(), "a");
    let said = fails(&worker.scp(&["a", "to/a", "pod:nowhere"]));
    assert!(said.contains("nowhere: Not a directory"), "{said}");
    let said = fails(&worker.scp(&["a", "pod:nowhere/a"]));
    assert!(
        said.contains("nowhere/a: No such file or directory"),
        "{said}"
    );
}

#[test]
fn a_full_disk_is_told_and_the_next_file_comes() {
    let worker = Worker::new(SSH);
    let _small = Small::mount(&worker.work().join("small"));
    std::fs::write(worker.work().join("large"), vec![1; 3 << 20]).unwrap();
    std::fs::write(worker.work().join("other"), "").unwrap();
    let said = fails(&worker.scp(&["large", "other", "pod:small"]));
    let told = said.matches("small/large: No space left on device").count();
    assert_eq!(told, 1, "{said}");
    assert!(worker.work().join("small/other").exists());
}

#[test]
fn patterns_stand_for_what_they_match() {
    let worker = Worker::new(SSH);
    let work = worker.work();
    for name in ["a.txt", "b.txt", "c.bin", ".d.txt"] {
        std::fs::write(work.join(name), name).unwrap();
    }
    std::fs::create_dir_all(work.join("to/x")).unwrap();
    std::fs::create_dir_all(work.join("to/y")).unwrap();
    // The client does not look at the names of what it gets with -T.
    succeeds(&worker.scp(&["-T", "pod:./*.txt", "to/x"]));
    let got = |folder: &str| {
        let entries = work.join(folder).read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(got("to/x"), ["a.txt", "b.txt"]);
    let said = fails(&worker.scp(&["pod:nothing*", "to/y"]));
    assert!(said.contains("nothing*: No such file"), "{said}");
    succeeds(&worker.scp(&["c.bin", "pod:to/[y]"]));
    assert_eq!(got("to/y"), ["c.bin"]);
    let said = fails(&worker.scp(&["c.bin", "pod:to/*"]));
    assert!(said.contains("it stands for several paths"), "{said}");
}
