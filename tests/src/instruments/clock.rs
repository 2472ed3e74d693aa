//! A wall clock that a test sets, for a program that reads it by libc. Its other clocks stay as they are.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// What stands between a program and libc. The number of seconds to add is in a file.
const CODE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long *ahead;

__attribute__((constructor)) static void start(void) {
    int file = open(getenv("PODGATE_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
    ahead = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && ahead) now->tv_sec += *ahead;
    return failed;
}
"#;

/// A clock, at first right.
pub struct Clock {
    dir: TempDir,
    ahead: File,
}

impl Clock {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no gcc.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("podgate-clock-")
            .tempdir()?;
        let code = dir.path().join("clock.c");
        std::fs::write(&code, CODE)?;
        let mut gcc = Command::new("gcc");
        let gcc = gcc.args(["-shared", "-fPIC", "-o"]);
        let made = gcc.arg(dir.path().join("clock.so")).arg(code).status()?;
        ensure!(made.success(), "gcc");
        let mut open = OpenOptions::new();
        let open = open.write(true).create_new(true);
        let ahead = open.open(dir.path().join("ahead"))?;
        let clock = Self { dir, ahead };
        clock.is_ahead(0)?;
        Ok(clock)
    }

    /// The words before a program that goes by it.
    pub fn enter(&self) -> Vec<String> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", path("clock.so")),
            format!("PODGATE_TEST_CLOCK={}", path("ahead")),
        ]
    }

    /// From now on it shows so many seconds more than it is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn is_ahead(&self, seconds: i64) -> Result<()> {
        // In its place: the program has this file in its memory.
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0)?;
        Ok(())
    }
}
