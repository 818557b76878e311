//! What a virtual machine starts with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What finds and starts a boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// SeaBIOS, which is in QEMU.
    Bios,
    /// OVMF, which is a package of its own.
    Uefi,
}

/// Where distributions put OVMF without Secure Boot: its code, and what its variables are at first. Debian and
/// Ubuntu, Fedora, Arch, openSUSE, QEMU itself.
const PLACES: [(&str, &str); 7] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
];

impl Firmware {
    /// The files of OVMF: its code, and a copy of its variables in `folder`; `None` where it is not installed.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub(super) fn ovmf(folder: &Path) -> io::Result<Option<(PathBuf, PathBuf)>> {
        let is_there = |(code, variables): &&(&str, &str)| {
            Path::new(code).is_file() && Path::new(variables).is_file()
        };
        let Some((code, variables)) = PLACES.iter().find(is_there) else { return Ok(None) };
        let copy = folder.join("variables");
        fs::copy(variables, &copy)?;
        Ok(Some((PathBuf::from(code), copy)))
    }
}
