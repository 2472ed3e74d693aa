//! What the threads of a process do, by proc(5).

use std::{fs, io};

/// The fields of stat of each thread of a process, from the state on; none for a thread that has just ended.
fn stats(pid: u32) -> io::Result<impl Iterator<Item = (String, Option<Vec<String>>)>> {
    let stat = |thread: io::Result<fs::DirEntry>| {
        let folder = thread.map(|thread| thread.path()).unwrap_or_default();
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let stat = fs::read_to_string(folder.join("stat")).ok();
        // The fields follow the name in parentheses, which may contain spaces.
        let fields = stat.and_then(|stat| {
            let (_, fields) = stat.rsplit_once(") ")?;
            Some(fields.split(' ').map(str::to_owned).collect())
        });
        (name.trim_end().to_owned(), fields)
    };
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.map(stat))
}

/// The state of each thread, such as `T` for a stopped one; none for a thread that has just ended.
///
/// # Errors
/// When the process is gone.
pub fn states(pid: u32) -> io::Result<Vec<Option<char>>> {
    let state = |(_, fields): (_, Option<Vec<String>>)| fields?.first()?.chars().next();
    Ok(stats(pid)?.map(state).collect())
}

/// The nice values of the threads of this name.
///
/// # Errors
/// When the process is gone.
pub fn nice(pid: u32, name: &str) -> io::Result<Vec<i32>> {
    // The 19th field of stat, of which the state is the third.
    let nice = |(_, fields): (_, Option<Vec<String>>)| fields?.get(16)?.parse().ok();
    let named = stats(pid)?.filter(|(its_name, _)| its_name == name);
    Ok(named.filter_map(nice).collect())
}
