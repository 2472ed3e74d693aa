//! mimalloc, every program's allocator. What one thread has freed of another's memory stays with the other until
//! that one allocates again, and an idle thread does not.
#![allow(unsafe_code, reason = "the call has no safe wrapper")]

/// Gives the calling thread's free memory back to the system.
pub(crate) fn give_back() {
    // SAFETY: it takes no pointer, and may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;

    #[global_allocator]
    static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

    const MIB: u64 = 1024 * 1024;

    /// Bytes of memory that this process has.
    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    #[test]
    fn what_others_have_freed_of_a_threads_memory_is_given_back() {
        let (filled, buffers) = mpsc::channel();
        let (proceed, freed) = mpsc::channel();
        let before = resident();
        let owner = thread::spawn(move || {
            let buffers: Vec<_> = (0..1024).map(|_| vec![1_u8; 64 * 1024]).collect();
            filled.send(buffers).unwrap();
            freed.recv().unwrap();
            super::give_back();
            resident()
        });
        let buffers = buffers.recv().unwrap();
        assert!(resident() > before + 60 * MIB);
        drop(buffers);
        proceed.send(()).unwrap();
        let after = owner.join().unwrap();
        assert!(after < before + 8 * MIB, "{before}, {after}");
    }
}
