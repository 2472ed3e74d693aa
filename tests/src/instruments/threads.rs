//! What the threads of a process do, by proc(5).

use std::{fs, io};

/// The state of each thread, such as `T` for a stopped one; none for a thread that has just ended.
///
/// # Errors
/// When the process is gone.
pub fn states(pid: u32) -> io::Result<Vec<Option<char>>> {
    let state = |thread: io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        // The fields follow the name in parentheses, which may contain spaces.
        stat.rsplit_once(") ").and_then(|it| it.1.chars().next())
    };
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?
        .map(state)
        .collect())
}
