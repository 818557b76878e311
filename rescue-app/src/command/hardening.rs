//! Passphrases and keys stay in this process.
#![allow(unsafe_code)]

use std::ffi::CString;

use nix::libc;
use zeroize::Zeroizing;

/// No core dump is written of what holds keys, and other processes of the same user cannot read its
/// memory (`PR_SET_DUMPABLE` in prctl(2)).
pub(super) fn no_core_dumps() {
    // It fails only for a value that does not exist.
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// The value of an environment variable, which is gone afterwards: child processes do not inherit
/// it, and `/proc/PID/environ` does not show it. To be called while there is one thread only.
pub(super) fn take_variable(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let name_in_c = CString::new(name).ok()?;
    // SAFETY: one thread only, so nobody changes the environment meanwhile. The value ends with a
    // zero byte, and it may be written to (environ(7)).
    unsafe {
        let value = libc::getenv(name_in_c.as_ptr());
        if value.is_null() {
            return None;
        }
        let len = libc::strlen(value);
        let value = std::slice::from_raw_parts_mut(value.cast::<u8>(), len);
        let taken = Zeroizing::new(value.to_vec());
        value.fill(0);
        std::env::remove_var(name);
        Some(taken)
    }
}
