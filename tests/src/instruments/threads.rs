//! What the threads of a process do, by proc(5).

use std::{fs, io};

/// What stat says of each thread of a process; nothing of a thread that has just ended.
fn stats(pid: u32) -> io::Result<impl Iterator<Item = String>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(threads.map(|thread| {
        let stat = thread.map(|thread| thread.path().join("stat"));
        stat.and_then(fs::read_to_string).unwrap_or_default()
    }))
}

/// The name in a line of stat, which stands in parentheses and may contain any, and the fields after it: those from
/// number 3, the state, on.
pub(crate) fn fields(stat: &str) -> Option<(&str, impl Iterator<Item = &str>)> {
    let (start, fields) = stat.rsplit_once(") ")?;
    let (_, name) = start.split_once(" (")?;
    Some((name, fields.split(' ')))
}

/// The state of each thread, such as `T` for a stopped one; none for a thread that has just ended.
///
/// # Errors
/// When the process is gone.
pub fn states(pid: u32) -> io::Result<Vec<Option<char>>> {
    let state = |stat: String| fields(&stat)?.1.next()?.chars().next();
    Ok(stats(pid)?.map(state).collect())
}

/// The nice values of the threads of this name.
///
/// # Errors
/// When the process is gone.
pub fn nice(pid: u32, name: &str) -> io::Result<Vec<i32>> {
    // Field 19.
    let nice = |stat: String| {
        let (its_name, mut fields) = fields(&stat)?;
        fields.nth(16).filter(|_| its_name == name)?.parse().ok()
    };
    Ok(stats(pid)?.filter_map(nice).collect())
}
