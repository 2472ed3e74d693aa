//! The names in a local folder, read without a look at each file: 100,000 looks take seconds.

use std::fs;
use std::io;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::{Error, LIMIT};

/// Names that are handed over at a time, and how often before somebody takes them.
const NAMES: usize = 1024;
const AHEAD: usize = 2;

/// Calls `each` with the name of each file in a folder. A folder that is not there is empty.
pub(super) async fn names(folder: PathBuf, mut each: impl FnMut(&str)) -> Result<(), Error> {
    let name = folder.display().to_string();
    let (give, mut given) = mpsc::channel(AHEAD);
    let read = spawn_blocking(move || read(folder, &give));
    while let Some(names) = timeout(LIMIT, given.recv())
        .await
        .map_err(|_| Error::Late(LIMIT))?
    {
        let names: Vec<String> = names;
        names.iter().for_each(|name| each(name));
    }
    let done = read.await.unwrap_or_else(|error| Err(error.into()));
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Folder {
            folder: name,
            error,
        }),
        _ => Ok(()),
    }
}

fn read(folder: PathBuf, give: &mpsc::Sender<Vec<String>>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        // Names of ours are ASCII.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
        // Nobody asks any more if this fails.
        if names.len() == NAMES && give.blocking_send(std::mem::take(&mut names)).is_err() {
            return Ok(());
        }
    }
    let _ = give.blocking_send(names);
    Ok(())
}
