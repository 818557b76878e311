//! What a machine that was watched tells of its image.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::virtual_machine::{Firmware, Seen};

/// Whether an image starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It does, and asks who is there.
    Login,
    /// Its loader was started, and nothing that is known as a failure was seen until nothing new came any more.
    Settled,
    /// The firmware found no loader.
    NoLoader,
    /// The loader gave up.
    Loader {
        /// What it said.
        said: String,
    },
    /// The kernel gave up.
    Panic {
        /// What it said.
        said: String,
    },
    /// The system has come up for repairs only.
    Emergency {
        /// What it said.
        said: String,
    },
    /// The machine was switched off, or wanted to start anew.
    Ended,
    /// Something new came until the end of the time that it had.
    Unsettled,
}

/// What SeaBIOS and OVMF say without a loader (`src/boot.c`; `MdeModulePkg/Universal/BdsDxe`, `ShellPkg`).
const NO_LOADER: [&str; 5] = [
    "No bootable device",
    "not a bootable disk",
    "No bootable option or device was found",
    "UEFI Interactive Shell",
    "BdsDxe: No bootable",
];
/// What a boot sector is announced with by SeaBIOS.
const BOOT_SECTOR: &str = "Booting from Hard Disk...";
/// What loaders say last: GRUB, boot sectors of MBRs, Windows.
const LOADER: [&str; 11] = [
    "grub rescue>",
    "GRUB Hard Disk Error",
    "Missing operating system",
    "Error loading operating system",
    "Invalid partition table",
    "Operating System not found",
    "BOOTMGR is missing",
    "BOOTMGR image is corrupt",
    "An operating system wasn't found",
    "NTLDR is missing",
    "A disk read error occurred",
];
const PANIC: [&str; 2] = ["Kernel panic - not syncing", "end Kernel panic"];
const EMERGENCY: [&str; 5] = [
    "You are in emergency mode",
    "Give root password for maintenance",
    "Press Enter for maintenance",
    "(initramfs)",
    "dracut:/#",
];
const LOGIN: &str = "login:";

impl Verdict {
    /// By what was seen.
    pub(super) fn of(seen: &Seen, firmware: Firmware) -> Self {
        if let Some(verdict) = Self::known(seen) {
            return verdict;
        }
        let shows_text = seen.picture.as_ref().is_none_or(|picture| picture.is_text());
        let is_silent = shows_text && seen.text.trim_end().ends_with(BOOT_SECTOR);
        match seen {
            _ if firmware == Firmware::Bios && is_silent => Self::NoLoader,
            Seen { has_ended: true, .. } => Self::Ended,
            Seen { has_settled: true, .. } => Self::Settled,
            _ => Self::Unsettled,
        }
    }

    /// By what was said, where that is enough.
    pub(super) fn known(seen: &Seen) -> Option<Self> {
        let said = |words: &[&str]| {
            let lines = seen.text.lines().map(clean);
            lines.into_iter().rfind(|line| words.iter().any(|word| line.contains(word)))
        };
        if let Some(said) = said(&PANIC[..1]).or_else(|| said(&PANIC)) {
            return Some(Self::Panic { said });
        }
        if seen.has_panicked {
            return Some(Self::Panic { said: "told by the kernel (pvpanic)".to_owned() });
        }
        if let Some(said) = said(&EMERGENCY) {
            return Some(Self::Emergency { said });
        }
        let last = seen.text.trim_end().lines().last().map(clean).unwrap_or_default();
        if last.contains(LOGIN) {
            return Some(Self::Login);
        }
        if let Some(said) = said(&LOADER) {
            return Some(Self::Loader { said });
        }
        let firmware = NO_LOADER.iter().any(|words| seen.firmware.contains(words));
        (firmware || said(&NO_LOADER).is_some()).then_some(Self::NoLoader)
    }

    /// Whether it starts, as far as was seen.
    pub fn boots(&self) -> bool {
        matches!(self, Self::Login | Self::Settled)
    }
}

/// A line without what moves the cursor or sets colours (ECMA-48), and no longer than a line.
fn clean(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            // Up to the letter that ends the sequence.
            while letters.next().is_some_and(|next| !next.is_ascii_alphabetic()) {}
        } else if !letter.is_control() {
            text.push(letter);
        }
    }
    text.trim().chars().take(160).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login => f.write_str("boots: it asks for a login"),
            Self::Settled => {
                f.write_str("boots, as far as its screen shows: nothing failed until it settled")
            }
            Self::NoLoader => f.write_str("does not boot: the firmware found no loader"),
            Self::Loader { said } => write!(f, "does not boot: the boot loader stopped: {said}"),
            Self::Panic { said } => write!(f, "does not boot: kernel panic: {said}"),
            Self::Emergency { said } => {
                write!(f, "does not boot: the system came up for repairs only: {said}")
            }
            Self::Ended => {
                f.write_str("does not boot: the machine switched itself off, or started anew")
            }
            Self::Unsettled => {
                f.write_str("not known to boot: it had not settled in the time given")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, firmware: &str) -> Verdict {
        let seen = Seen {
            text: text.to_owned(),
            firmware: firmware.to_owned(),
            has_settled: true,
            ..Seen::default()
        };
        Verdict::of(&seen, Firmware::Bios)
    }

    #[test]
    fn what_machines_say_is_understood() {
        let panic = "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
        assert!(matches!(of(&format!("x\n{panic}\n---[ end Kernel panic - not syncing\n"), ""),
            Verdict::Panic { said } if said.contains("end Kernel panic")));
        assert_eq!(of("Debian GNU/Linux 12 host ttyS0\n\nhost login: ", ""), Verdict::Login);
        assert_eq!(of("host login: root\n# ls\n#", ""), Verdict::Settled);
        assert_eq!(of("", "Booting from Hard Disk...\nNo bootable device.\n"), Verdict::NoLoader);
        assert_eq!(of("SeaBIOS\nBooting from Hard Disk...\n\n", ""), Verdict::NoLoader);
        assert!(matches!(of("error: no such device: 1.\r\n\u{1b}[0mgrub rescue> ", ""),
            Verdict::Loader { said } if said == "grub rescue>"));
        assert!(matches!(
            of("ALERT!  UUID does not exist\n(initramfs) ", ""),
            Verdict::Emergency { .. }
        ));
        assert_eq!(of("Booting from Hard Disk...\nGRUB loading.\n", ""), Verdict::Settled);
    }

    #[test]
    fn a_machine_that_goes_on_or_ends_is_not_called_started() {
        let mut seen = Seen { text: "Loading".to_owned(), ..Seen::default() };
        assert_eq!(Verdict::of(&seen, Firmware::Uefi), Verdict::Unsettled);
        seen.has_ended = true;
        assert_eq!(Verdict::of(&seen, Firmware::Uefi), Verdict::Ended);
        assert!(!Verdict::Ended.boots() && !Verdict::Unsettled.boots());
    }
}
