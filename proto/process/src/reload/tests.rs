//! Files that change, fail and stall.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use tokio::time::{interval, timeout};

use super::*;

/// A folder for this test, and times of uses that are further apart than any rest.
fn begin(test: &str) -> (PathBuf, impl Iterator<Item = Instant>) {
    let name = format!("podgate-reload-{test}-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    let begun = Instant::now();
    (dir, (1..).map(move |n| begun + n * 100 * LONGEST_REST))
}

/// A use at this time.
async fn at<T: Send + Sync + 'static>(
    value: &Reloaded<T, impl fmt::Display + 'static>,
    now: Instant,
) -> Arc<T> {
    value.refresh_at(now).await;
    value.last()
}

fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

#[tokio::test]
async fn follows_the_file_and_keeps_the_last_good_value() {
    let (dir, mut uses) = begin("follows");
    let path = dir.join("number");
    replace(&path, "1");
    let read = path.clone();
    let number = Reloaded::load(vec![path.clone()], move || {
        fs::read_to_string(&read).unwrap_or_default().parse::<u32>()
    })
    .unwrap();
    let mut current = async || *at(&number, uses.next().unwrap()).await;
    assert_eq!(current().await, 1);
    replace(&path, "22");
    assert_eq!(current().await, 22);
    replace(&path, "not a number");
    assert_eq!(current().await, 22);
    fs::remove_file(&path).unwrap();
    assert_eq!(current().await, 22);
    replace(&path, "3");
    assert_eq!(current().await, 3);
    fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_read_that_failed_is_tried_again_though_nothing_changes() {
    let (dir, mut uses) = begin("again");
    let path = dir.join("list");
    replace(&path, "old");
    let (fails, reads) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
    let (own, own_reads, file) = (fails.clone(), reads.clone(), path.clone());
    let list = Reloaded::load(vec![path.clone()], move || {
        *own_reads.lock().unwrap() += 1;
        match *own.lock().unwrap() {
            true => Err(io::Error::from_raw_os_error(24)),
            false => fs::read_to_string(&file),
        }
    })
    .unwrap();
    *fails.lock().unwrap() = true;
    replace(&path, "new");
    let failed = uses.next().unwrap();
    assert_eq!(*at(&list, failed).await, "old");
    *fails.lock().unwrap() = false;
    // The files are not read at every use, because they may stay wrong for long.
    assert_eq!(*at(&list, failed + RETRY / 2).await, "old");
    assert_eq!(*reads.lock().unwrap(), 2);
    let later = uses.next().unwrap();
    assert_eq!(*at(&list, later).await, "new");
    assert_eq!(*at(&list, uses.next().unwrap()).await, "new");
    assert_eq!(*reads.lock().unwrap(), 3);
    fs::remove_dir_all(&dir).unwrap();
}

/// Opening a FIFO blocks, as opening a file does on a file system that stalls.
#[tokio::test]
async fn a_read_that_stalls_blocks_no_task_and_the_last_value_serves() {
    let (dir, _) = begin("stalls");
    let path = dir.join("number");
    replace(&path, "1");
    let file = path.clone();
    let read = move || fs::read_to_string(&file);
    let number = Arc::new(Reloaded::load(vec![path.clone()], read).unwrap());
    let fifo = dir.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    fs::rename(&fifo, &path).unwrap();
    // This runtime has one thread: were it blocked, the beat would miss.
    let uses = async {
        for _ in 0..100 {
            assert_eq!(*number.current().await, "1");
        }
    };
    let mut beat = interval(Duration::from_millis(5));
    let longest = async {
        let mut longest = Duration::ZERO;
        loop {
            let before = Instant::now();
            beat.tick().await;
            longest = longest.max(before.elapsed());
            if longest > Duration::from_millis(500) {
                return longest;
            }
        }
    };
    let held_up = tokio::select! {
        () = uses => None,
        longest = longest => Some(longest),
    };
    assert_eq!(held_up, None);
    let open = move || OpenOptions::new().write(true).open(&path).unwrap();
    let mut writer = tokio::task::spawn_blocking(open).await.unwrap();
    writer.write_all(b"22").unwrap();
    drop(writer);
    let follows = async {
        while *number.current().await != "22" {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), follows).await.unwrap();
    fs::remove_dir_all(&dir).unwrap();
}
