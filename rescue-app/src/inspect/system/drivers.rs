//! Whether an installed system starts where its disk is attached in another way.
//!
//! Sources: `dracut.conf(5)` (`hostonly`), `initramfs.conf(5)` (`MODULES`), `mkinitcpio.conf(5)` (the hook
//! `autodetect`); Microsoft, "Stop error 0x7B: Inaccessible boot device".

use super::{Root, os_release, windows};
use crate::volume::{EntryKind, path};

/// A larger file is not read to its end, bytes; more files of a folder are not read.
const MOST: u64 = 64 << 10;
const MOST_FILES: usize = 256;

/// Where settings of these programs are; files in folders that end in `.d` count one after the other, by their
/// names.
const DRACUT: [&[&str]; 4] = [
    &["usr", "lib", "dracut", "dracut.conf.d"],
    &["etc", "dracut.conf"],
    &["etc", "dracut.conf.d"],
    &["lib", "dracut", "dracut.conf.d"],
];
const INITRAMFS_TOOLS: [&[&str]; 2] =
    [&["etc", "initramfs-tools", "initramfs.conf"], &["etc", "initramfs-tools", "conf.d"]];
const MKINITCPIO: [&[&str]; 2] = [&["etc", "mkinitcpio.conf"], &["etc", "mkinitcpio.conf.d"]];

/// A system that brings, when it starts, the drivers of the machine alone that it was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnDrivers {
    /// Windows, which starts drivers of controllers that it has met.
    Windows,
    /// Linux with an initramfs for one machine, and the program that makes it.
    Initramfs(&'static str),
}

/// Whether the system in a folder is such a one.
pub(super) fn of(root: &Root<'_>) -> Option<OwnDrivers> {
    if os_release::name(root).is_none() {
        return windows::name(root).map(|_| OwnDrivers::Windows);
    }
    let dracut = value(root, &DRACUT, "hostonly").is_some_and(|it| it == "yes" || it == "sloppy");
    let tools = value(root, &INITRAMFS_TOOLS, "MODULES").is_some_and(|it| it == "dep");
    let hooks = value(root, &MKINITCPIO, "HOOKS").unwrap_or_default();
    let mkinitcpio = hooks.trim_matches(['(', ')']).split_whitespace().any(|it| it == "autodetect");
    let programs = [(dracut, "dracut"), (tools, "update-initramfs"), (mkinitcpio, "mkinitcpio")];
    let program = programs.into_iter().find_map(|(is_so, program)| is_so.then_some(program));
    program.map(OwnDrivers::Initramfs)
}

/// The last value that files and folders of files assign to a name, without quotes.
fn value(root: &Root<'_>, paths: &[&[&str]], name: &str) -> Option<String> {
    let mut last = None;
    for path in paths {
        for text in texts(root, path) {
            for line in text.lines() {
                let assigned =
                    line.trim().strip_prefix(name).and_then(|it| it.trim_start().strip_prefix('='));
                let value =
                    assigned.map(|it| it.trim().trim_matches(['"', '\'']).trim().to_owned());
                last = value.or(last);
            }
        }
    }
    last
}

/// The file at a path, or those in the folder there.
fn texts(root: &Root<'_>, path: &[&str]) -> Vec<String> {
    let read = |path: &[&str]| {
        let bytes = root.start_of(path, MOST)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let names: Vec<&[u8]> = path.iter().map(|name| name.as_bytes()).collect();
    let found = path::find(root.tree, root.root, &names).ok().flatten();
    let Some((folder, EntryKind::Folder)) = found else { return read(path).into_iter().collect() };
    let mut files: Vec<String> = Vec::new();
    // Of a folder that cannot be read to its end, as much as can be.
    let _ = root.tree.list(folder, &mut |entry| {
        let name = std::str::from_utf8(entry.name).ok().filter(|_| files.len() < MOST_FILES);
        files.extend(name.map(ToOwned::to_owned));
    });
    files.sort_unstable();
    files.iter().filter_map(|file| read(&[path, &[file.as_str()]].concat())).collect()
}
