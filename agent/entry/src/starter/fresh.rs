//! Numbers that nobody has had before.

use rustix::rand::{GetRandomFlags, getrandom};

/// 64 bits of the kernel's randomness: two that are equal are not to be feared.
pub(crate) fn fresh() -> u64 {
    let mut bytes = [0; 8];
    // It fails only where there is no such call, which Linux has had since 3.17.
    if getrandom(&mut bytes, GetRandomFlags::empty()) != Ok(bytes.len()) {
        crate::end::fatal("the kernel gives no random numbers");
    }
    u64::from_ne_bytes(bytes)
}
