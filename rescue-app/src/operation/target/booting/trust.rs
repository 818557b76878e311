//! Programs on a target that this machine's firmware will refuse to start.

use serde::Serialize;

use crate::firmware::{Refusal, SecureBoot, program::Program};
use crate::volume::EntryKind;

use super::esp::{Esp, is_shim};

/// Where firmware without an entry for a disk looks.
const USUAL: &str = "\\EFI\\BOOT";

/// A program that this machine's firmware will refuse to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Number of the partition.
    pub partition: u32,
    /// `\EFI\Microsoft\Boot\bootmgfw.efi`.
    pub file: String,
    /// Why.
    pub why: String,
    /// What can be done about it.
    pub next: String,
}

impl Refused {
    /// What a person is told.
    pub(super) fn sentence(&self) -> String {
        let Self { partition, file, why, next } = self;
        format!(
            "Secure Boot of this computer will not start {file} on partition {partition}: {why}; the disk is \
             complete all the same: {next}, or switch Secure Boot off in the firmware's setup"
        )
    }
}

/// Looks at what firmware starts of a partition: what its entries name, what lies where it looks without
/// one, what systems installed, and what shim starts, for which that has keys of its own.
pub(super) fn refused(
    esp: &Esp<'_>,
    partition: u32,
    named: Vec<String>,
    secure_boot: &SecureBoot,
) -> Vec<Refused> {
    let usual = esp.names(USUAL, EntryKind::File).into_iter();
    let usual = usual.filter(|name| name.to_ascii_uppercase().starts_with("BOOT"));
    let mut files: Vec<String> = usual.map(|name| format!("{USUAL}\\{name}")).collect();
    files.extend(named);
    files.extend(esp.installed());
    let mut seen: Vec<String> = Vec::new();
    files.retain(|file| {
        let name = file.to_ascii_uppercase();
        let is_new = !seen.contains(&name);
        seen.extend(is_new.then_some(name));
        is_new
    });
    let behind_shim = |file: &str| {
        let folder =
            |path: &str| path.rsplit_once('\\').map(|(folder, _)| folder.to_ascii_uppercase());
        !is_shim(file) && files.iter().any(|it| is_shim(it) && folder(it) == folder(file))
    };
    let why = |file: &str| -> Option<Refusal> {
        let program = Program::read(esp.open(file)?.as_ref())?;
        match behind_shim(file) {
            true => secure_boot.revocation(&program),
            false => secure_boot.refusal(&program),
        }
    };
    let found = files.iter().filter_map(|file| {
        let refusal = why(file)?;
        let (why, next) = (refusal.to_string(), refusal.remedy().to_owned());
        Some(Refused { partition, file: file.clone(), why, next })
    });
    found.collect()
}
