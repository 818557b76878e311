//! The programs on a partition that firmware starts systems from.

use crate::bytes::ReadAt;
use crate::firmware::{LoadOption, program};
use crate::volume::{EntryKind, FileId, FileTree, path};

/// Folders below `\EFI` that are looked into.
const MOST_FOLDERS: usize = 64;

/// A partition that firmware may start programs from.
pub(super) struct Esp<'a> {
    pub(super) tree: &'a dyn FileTree,
}

impl Esp<'_> {
    /// The plain file at a path of firmware, `\EFI\BOOT\BOOTX64.EFI`.
    pub(super) fn find(&self, path: &str) -> Option<FileId> {
        self.at(path).filter(|(_, kind)| *kind == EntryKind::File).map(|(file, _)| file)
    }

    fn at(&self, path: &str) -> Option<(FileId, EntryKind)> {
        let names: Vec<&[u8]> = path.split(['\\', '/']).map(str::as_bytes).collect();
        path::find(self.tree, self.tree.root(), &names).ok()?
    }

    /// The program at a path.
    pub(super) fn open(&self, path: &str) -> Option<Box<dyn ReadAt + '_>> {
        self.tree.open(self.find(path)?).ok()
    }

    /// The program that a boot entry for the partition of that `PARTUUID` names, if it is there; the inner
    /// `None` stands for the usual one.
    pub(super) fn program_of(&self, option: &LoadOption, uuid: &str) -> Option<Option<String>> {
        let loader = option.loader().filter(|loader| loader.drive.part_uuid() == uuid)?;
        let is_there = loader.file.as_ref().is_none_or(|file| self.find(file).is_some());
        is_there.then_some(loader.file)
    }

    /// Where firmware without an entry looks for a program of the same kind of processor as that at a path.
    pub(super) fn usual_path(&self, path: &str) -> Option<String> {
        let name = program::usual_name(self.open(path)?.as_ref())?;
        Some(format!("\\EFI\\BOOT\\{name}"))
    }

    /// Names in a folder of the kind that is asked for, sorted. Of what cannot be read as much as can.
    pub(super) fn names(&self, folder: &str, wanted: EntryKind) -> Vec<String> {
        let mut names = Vec::new();
        let Some((folder, EntryKind::Folder)) = self.at(folder) else { return names };
        let _ = self.tree.list(folder, &mut |entry| {
            if entry.kind == wanted {
                names.extend(std::str::from_utf8(entry.name).map(ToOwned::to_owned));
            }
        });
        names.sort_unstable();
        names
    }

    /// Boot loaders that were installed, the first one that a machine starts first: by how systems call
    /// them.
    pub(super) fn installed(&self) -> Vec<String> {
        let mut found: Vec<(u8, usize, String)> = Vec::new();
        let folders = self.names("\\EFI", EntryKind::Folder).into_iter().take(MOST_FOLDERS);
        for folder in folders.filter(|name| !name.eq_ignore_ascii_case("BOOT")) {
            for name in self.names(&format!("\\EFI\\{folder}"), EntryKind::File) {
                let rank =
                    rank(&name).map(|it| (it, name.len(), format!("\\EFI\\{folder}\\{name}")));
                found.extend(rank);
            }
        }
        if self.find(WINDOWS).is_some() {
            found.push((u8::MAX, 0, WINDOWS.to_owned()));
        }
        found.sort();
        found.into_iter().map(|(_, _, path)| path).collect()
    }
}

/// What the boot entry of a boot loader is called that brings none of its own: by its folder, as
/// distributions of Linux have it.
pub(super) fn entry_name(path: &str) -> &str {
    match path {
        WINDOWS => "Windows Boot Manager",
        _ => path.rsplit('\\').nth(1).unwrap_or(path),
    }
}

/// The boot manager of Windows.
const WINDOWS: &str = "\\EFI\\Microsoft\\Boot\\bootmgfw.efi";

/// How early a program is started: what checks others before what it checks. GRUB and systemd-boot
/// start Windows too, and not the other way round.
fn rank(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let stem = name.strip_suffix(".efi")?;
    let ranks = ["shim", "grub", "systemd-boot"].iter().zip(0..);
    ranks.filter(|(first, _)| stem.starts_with(**first)).map(|(_, rank)| rank).next()
}

/// Whether a program is shim, which starts another one that lies beside it (shim, `README.md`).
pub(super) fn is_shim(path: &str) -> bool {
    let name = path.rsplit('\\').next().unwrap_or_default();
    rank(name) == Some(0)
}
