//! SFTP, by OpenSSH's client.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Output, Stdio};

use super::{Small, Worker, fails, same, succeeds, tree};

fn start(options: &str) -> Worker {
    Worker::new(&format!("exec $WORKER sftp {options}"))
}

impl Worker {
    /// Runs these commands; the first that fails ends them.
    fn sftp(&self, commands: &str) -> Output {
        let batch = self.dir.path().join("batch");
        std::fs::write(&batch, commands).unwrap();
        let mut sftp = self.command("sftp");
        sftp.arg("-D").arg(self.server()).arg("-b").arg(batch);
        sftp.output().unwrap()
    }
}

#[test]
fn files_go_and_come_back_as_they_were() {
    let worker = start("");
    tree(&worker.work().join("here"));
    succeeds(&worker.sftp("put -Rp here there\nget -Rp there back\n"));
    same(&worker.work().join("here"), &worker.work().join("there"));
    same(&worker.work().join("here"), &worker.work().join("back"));
}

#[test]
fn each_command_does_what_it_says() {
    let worker = start("");
    let work = worker.work();
    std::fs::write(work.join("a"), "words\n").unwrap();
    let listed = succeeds(&worker.sftp(
        "mkdir d\nput a d/a\nln d/a d/hard\nln -s a d/soft\nrename d/a d/b\nchmod 640 d/b\n\
         copy d/b d/copy\ndf d\nls -l d\nls -ln d\npwd\n",
    ));
    let d = work.join("d");
    let read = |name: &str| std::fs::read_to_string(d.join(name));
    assert_eq!(read("b").unwrap(), "words\n");
    assert_eq!(read("copy").unwrap(), "words\n");
    assert!(read("soft").is_err(), "what it led to has another name");
    assert_eq!(
        std::fs::read_link(d.join("soft")).unwrap().to_str(),
        Some("a")
    );
    let (b, hard) = (
        d.join("b").metadata().unwrap(),
        d.join("hard").metadata().unwrap(),
    );
    assert_eq!((b.ino(), b.mode() & 0o777), (hard.ino(), 0o640));
    assert!(listed.contains("-rw-r-----"), "{listed}");
    assert!(listed.contains("root     root"), "{listed}");
    let real = work.canonicalize().unwrap();
    let pwd = format!("Remote working directory: {}\n", real.display());
    assert!(listed.ends_with(&pwd), "{listed}");
    succeeds(&worker.sftp("rm d/b\nrm d/hard\nrm d/soft\nrm d/copy\nrmdir d\n"));
    assert!(!d.exists());
}

#[test]
fn a_rename_of_the_protocol_replaces_nothing() {
    let worker = start("");
    let work = worker.work();
    for name in ["a", "b"] {
        std::fs::write(work.join(name), name).unwrap();
    }
    // -l asks for it; without it the client asks for OpenSSH's own, which replaces.
    fails(&worker.sftp("rename -l a b\n"));
    assert_eq!(std::fs::read_to_string(work.join("b")).unwrap(), "b");
    succeeds(&worker.sftp("rename a b\n"));
    assert_eq!(std::fs::read_to_string(work.join("b")).unwrap(), "a");
}

#[test]
fn an_upload_and_a_download_go_on_where_they_broke_off() {
    let worker = start("");
    let work = worker.work();
    let whole: String = (0..100_000).map(|line| format!("{line}\n")).collect();
    std::fs::write(work.join("whole"), &whole).unwrap();
    for (command, part) in [("reput whole part", "part"), ("reget whole got", "got")] {
        std::fs::write(work.join(part), &whole[..50_000]).unwrap();
        succeeds(&worker.sftp(&format!("{command}\n")));
        assert_eq!(std::fs::read_to_string(work.join(part)).unwrap(), whole);
    }
}

#[test]
fn a_sparse_file_of_more_than_4_gib_has_its_end() {
    let worker = start("");
    let file = std::fs::File::create(worker.work().join("sparse")).unwrap();
    let offset = (5 << 30) - 4;
    std::os::unix::fs::FileExt::write_all_at(&file, b"end\n", offset).unwrap();
    let part = std::fs::File::create(worker.work().join("part")).unwrap();
    part.set_len(offset - 4).unwrap();
    succeeds(&worker.sftp("reget sparse part\n"));
    let mut end = [0; 8];
    let part = std::fs::File::open(worker.work().join("part")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&part, &mut end, offset - 4).unwrap();
    assert_eq!(&end, b"\0\0\0\0end\n");
    assert_eq!(part.metadata().unwrap().len(), 5 << 30);
}

#[test]
fn a_full_disk_is_told_in_words() {
    let worker = start("");
    let _small = Small::mount(&worker.work().join("small"));
    std::fs::write(worker.work().join("large"), vec![1; 3 << 20]).unwrap();
    let said = fails(&worker.sftp("put large small/large\n"));
    let told = said.matches("small/large: No space left on device").count();
    assert_eq!(told, 1, "{said}");
}

#[test]
fn who_may_only_read_changes_nothing() {
    let worker = start("--only read");
    let work = worker.work();
    std::fs::create_dir(work.join("d")).unwrap();
    std::fs::write(work.join("a"), "a").unwrap();
    succeeds(&worker.sftp("get a b\nls -l\ncd d\n"));
    for command in [
        "put b c",
        "rm a",
        "mkdir e",
        "rmdir d",
        "rename a c",
        "rename -l a c",
        "ln a c",
        "ln -s a c",
        "chmod 600 a",
        "chown 1 a",
        "copy a c",
    ] {
        let said = fails(&worker.sftp(&format!("{command}\n")));
        assert!(said.contains("ermission denied"), "{command}: {said}");
    }
    let mut left: Vec<_> = std::fs::read_dir(&work)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["a", "b", "d"]);
}

#[test]
fn who_may_only_write_reads_nothing() {
    let worker = start("--only write");
    let work = worker.work();
    std::fs::write(work.join("a"), "a").unwrap();
    succeeds(&worker.sftp("put a b\nmkdir d\nrename b d/c\nchmod 600 d/c\n"));
    assert_eq!(succeeds(&worker.sftp("ls\n")), "sftp> ls\n");
    for command in ["get a e", "copy a f"] {
        let said = fails(&worker.sftp(&format!("{command}\n")));
        assert!(said.contains("ermission denied"), "{command}: {said}");
    }
}

/// A server, between pipes.
fn served(worker: &Worker) -> Child {
    let mut server = worker.command(worker.server().to_str().unwrap());
    server.stdin(Stdio::piped());
    server.stdout(Stdio::piped()).stderr(Stdio::piped());
    server.spawn().unwrap()
}

/// Asks a server to open a file with these flags of SSH_FXP_OPEN. Answers the type of its answer, and the code if it is a
/// status.
fn opens(worker: &Worker, flags: u8) -> (u8, u8) {
    let mut server = served(worker);
    let mut stdin = server.stdin.take().unwrap();
    stdin.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).unwrap();
    let open = [0, 0, 0, 18, 3, 0, 0, 0, 7, 0, 0, 0, 1, b'a', 0, 0, 0, flags];
    stdin.write_all(&[&open[..], &[0; 4]].concat()).unwrap();
    drop(stdin);
    let answers = server.wait_with_output().unwrap().stdout;
    let length = u32::from_be_bytes(answers[..4].try_into().unwrap());
    let answer = &answers[4 + length as usize..];
    (answer[4], answer[12])
}

#[test]
fn who_may_only_write_opens_nothing_that_can_be_read() {
    let worker = start("--only write");
    std::fs::write(worker.work().join("a"), "secret").unwrap();
    const STATUS: u8 = 101;
    const PERMISSION_DENIED: u8 = 3;
    // CREAT, APPEND, TRUNC without WRITE: open(2) opens it to be read.
    for flags in [0, 1, 4, 8, 16, 8 | 16, 1 | 2, 1 | 8] {
        let answer = opens(&worker, flags);
        assert_eq!(answer, (STATUS, PERMISSION_DENIED), "{flags}");
    }
    const HANDLE: u8 = 102;
    assert_eq!(opens(&worker, 2 | 8).0, HANDLE);
    let secret = std::fs::read_to_string(worker.work().join("a")).unwrap();
    assert_eq!(secret, "secret");
}

#[test]
fn it_gives_up_what_it_does_not_need() {
    let worker = start("");
    let mut server = served(&worker);
    // An answer shows that it has done so.
    let mut stdin = server.stdin.take().unwrap();
    stdin.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).unwrap();
    let mut version = [0; 9];
    let stdout = server.stdout.as_mut().unwrap();
    stdout.read_exact(&mut version).unwrap();
    assert_eq!(version[4..], [2, 0, 0, 0, 3]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"] {
        assert!(status.contains(line), "no {line} in {status}");
    }
    drop(stdin);
    assert!(server.wait().unwrap().success());
}

#[test]
fn what_is_no_sftp_ends_it() {
    let worker = start("");
    for (bytes, words) in [
        (
            &b"\xff\xff\xff\xff"[..],
            "an SFTP message of 4294967295 bytes",
        ),
        (
            b"\0\0\0\x05\x04\0\0\0\x01",
            "an SFTP message that is too short",
        ),
        (b"\0\0\0\x05\x01", "the beginning of a message"),
    ] {
        let mut server = served(&worker);
        server.stdin.take().unwrap().write_all(bytes).unwrap();
        let said = fails(&server.wait_with_output().unwrap());
        assert!(
            said.starts_with("podgate: ") && said.contains(words),
            "{said}"
        );
    }
}
