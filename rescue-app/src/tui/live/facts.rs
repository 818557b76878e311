//! What the header says about this machine.

use std::fs;
use std::path::Path;

use crate::disk::Sysfs;
use crate::tui::model::Facts;

/// The UEFI variable that tells whether Secure Boot is enforced (UEFI specification, section 3.3,
/// "SecureBoot"); the file holds four bytes of attributes, then one byte.
const SECURE_BOOT: &str =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Looks at the running system.
pub(super) fn facts() -> Facts {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    Facts {
        version: env!("CARGO_PKG_VERSION").into(),
        firmware: firmware(Path::new("/sys/firmware/efi").exists(), fs::read(SECURE_BOOT).ok()),
        host: if host == "(none)" { String::new() } else { host },
        boot_medium: Sysfs::host().is_boot_medium(),
    }
}

fn firmware(efi: bool, secure_boot: Option<Vec<u8>>) -> String {
    let state = match secure_boot.as_deref() {
        _ if !efi => return "BIOS".into(),
        Some([_, _, _, _, 1]) => ", Secure Boot on",
        Some([_, _, _, _, 0]) => ", Secure Boot off",
        _ => "",
    };
    format!("UEFI{state}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_and_secure_boot() {
        assert_eq!(firmware(false, None), "BIOS");
        assert_eq!(firmware(true, Some(vec![6, 0, 0, 0, 1])), "UEFI, Secure Boot on");
        assert_eq!(firmware(true, Some(vec![6, 0, 0, 0, 0])), "UEFI, Secure Boot off");
        assert_eq!(firmware(true, None), "UEFI");
        assert_eq!(firmware(true, Some(vec![1])), "UEFI");
    }
}
