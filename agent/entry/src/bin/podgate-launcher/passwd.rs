//! The container's passwd(5).

use std::fs::File;
use std::io::Read;

/// Bytes that are read of it, at most.
const MAX_FILE: u64 = 1024 * 1024;

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: Vec<u8>,
    pub(crate) home: Vec<u8>,
    pub(crate) shell: Vec<u8>,
}

/// That of a user id, as far as there is one.
pub(crate) fn account(uid: u32) -> Account {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open("/etc/passwd") {
        // What can be read of it counts.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    find(&bytes, uid).unwrap_or_default()
}

fn find(passwd: &[u8], uid: u32) -> Option<Account> {
    let uid = uid.to_string();
    let mut lines = passwd.split(|&byte| byte == b'\n');
    lines.find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        match fields.as_slice() {
            [name, _, id, _, _, home, shell] if *id == uid.as_bytes() => Some(Account {
                name: name.to_vec(),
                home: home.to_vec(),
                shell: shell.to_vec(),
            }),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_user_counts() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\nbad:1000\n\
            app:x:1000:1000::/srv:\nagain:x:1000:1000::/:/bin/sh\n";
        let account = find(passwd, 1000).unwrap();
        assert_eq!(
            (account.name, account.home),
            (b"app".to_vec(), b"/srv".to_vec())
        );
        assert_eq!(account.shell, b"");
        assert_eq!(find(passwd, 0).unwrap().shell, b"/bin/bash");
        assert_eq!(find(passwd, 1), None);
        assert_eq!(find(b"\xff\n::::::\n", 1), None);
    }
}
