//! Passphrases of encrypted containers: from a file, or from a person.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::console::{path, tell};
use crate::job::SourceArgs;
use crate::operation::{Container, Keys, LockedDisk, OperationError};
use crate::volume::VolumeKey;

use super::passphrase::{ATTEMPTS, ask};

/// `cryptsetup` takes no larger key files, bytes.
const LONGEST_FILE: u64 = 8 << 20;

/// Opens what `--unlock` asks for, before anything is read.
pub(super) fn keys(args: &SourceArgs) -> anyhow::Result<Keys> {
    let Some(wanted) = &args.unlock else { return Ok(Keys::new()) };
    let disk = LockedDisk::open(&args.source, args.sector_size)?;
    let file = args.unlock_file.as_deref().map(read_file).transpose()?;
    let mut keys = Keys::new();
    for container in chosen(&disk, wanted, args.partitions.as_deref())? {
        if keys.keys().any(|open| open.locked.uuid == container.locked.uuid) {
            continue;
        }
        let key = match &file {
            Some(secret) => disk.unlock(&container, secret)?,
            None => attempts(&disk, &container)?,
        };
        keys.insert(container, key);
    }
    Ok(keys)
}

/// All containers in the partitions `wanted`; if none are named, in those to be read.
fn chosen(
    disk: &LockedDisk,
    wanted: &[u32],
    captured: Option<&[u32]>,
) -> Result<Vec<Container>, OperationError> {
    let refused = |why: String, next: &str| Err(OperationError::refused(why, next.to_owned()));
    let mut found = disk.containers();
    let is_there =
        |number: &&u32| found.iter().any(|container| container.partition == Some(**number));
    if let Some(number) = wanted.iter().find(|number| !is_there(number)) {
        let why = format!("there is nothing to unlock in partition {number}");
        return refused(why, "look at the disk with `lifeboat disks`");
    }
    let numbers = if wanted.is_empty() { captured } else { Some(wanted) };
    if let Some(numbers) = numbers {
        found.retain(|at| at.partition.is_some_and(|number| numbers.contains(&number)));
    }
    if found.is_empty() {
        let next = "look at the disk with `lifeboat disks`, or leave out --unlock";
        return refused("there is nothing to unlock".to_owned(), next);
    }
    Ok(found)
}

/// Asks until a passphrase fits.
fn attempts(disk: &LockedDisk, container: &Container) -> anyhow::Result<VolumeKey> {
    if !stdin().is_terminal() {
        bail!(
            "{container} is to be unlocked and there is no terminal to ask at; use --unlock-file"
        );
    }
    let mut left = ATTEMPTS;
    loop {
        let word = ask(&format!("Unlock {container} with its {}: ", container.locked.secret()))?;
        left = left.saturating_sub(1);
        match disk.unlock(container, word.as_bytes()) {
            Err(error) if left > 0 => tell(&error.to_string()),
            other => return Ok(other?),
        }
    }
}

/// One line is a passphrase; anything else is a key, every byte of it, as in `cryptsetup`.
fn read_file(file_path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let reading = || format!("reading the passphrase file {}", path(file_path));
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(file_path).with_context(reading)?;
    file.take(LONGEST_FILE).read_to_end(&mut bytes).with_context(reading)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        bail!("the passphrase file {} is empty; put the passphrase in it", path(file_path));
    }
    let is_line = std::str::from_utf8(line).is_ok_and(|line| !line.contains(['\n', '\r', '\0']));
    Ok(if is_line { Zeroizing::new(line.to_vec()) } else { bytes })
}
