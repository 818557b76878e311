//! Partitions as text and as a drawn disk.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::disk_bar::{Piece, disk_bar};
use super::text;
use crate::operation::{LayoutEntry, Volume, format};
use crate::tui::look::Look;
use crate::volume::{Filesystem, LogicalVolume, State};

/// Draws a disk of `total` bytes with its partitions.
pub(in crate::tui) fn volume_bar<'a>(
    total: u64,
    volumes: impl IntoIterator<Item = &'a Volume>,
    area: Rect,
    buffer: &mut Buffer,
    look: Look,
) {
    let pieces = volumes.into_iter().map(|volume| Piece {
        start: volume.start,
        size: volume.size,
        used: volume.used(),
        style: look.content(&volume.content),
    });
    disk_bar(total, &pieces.collect::<Vec<_>>(), area, buffer);
}

/// Draws a disk of `total` bytes before or after a restore: what stays as it is light, what changes
/// full and in the style `changed`.
pub(in crate::tui) fn layout_bar(
    total: u64,
    entries: &[LayoutEntry],
    changed: Style,
    area: Rect,
    buffer: &mut Buffer,
) {
    let pieces: Vec<Piece> = entries
        .iter()
        .map(|entry| Piece {
            start: entry.start,
            size: entry.size,
            used: Some(if entry.kept { 0 } else { entry.size }),
            style: if entry.kept { Style::new() } else { changed },
        })
        .collect();
    disk_bar(total, &pieces, area, buffer);
}

/// One partition in `columns`.
pub(in crate::tui) fn volume_line(volume: &Volume, columns: usize) -> String {
    let number = volume.partition.map_or_else(|| "-".into(), |number| number.to_string());
    let note = note(volume.filesystem.as_ref(), volume.system.as_deref());
    let size = size(volume.size, volume.used());
    line([&number, &volume.content, &size], volume.label(), note, columns)
}

/// One logical volume in `columns`.
pub(in crate::tui) fn logical_volume_line(volume: &LogicalVolume, columns: usize) -> String {
    let filesystem = volume.filesystem.as_ref();
    let kind = filesystem.map_or_else(|| "unknown".into(), |found| found.kind.to_string());
    let size = size(volume.size, filesystem.and_then(|found| found.used));
    line(["-", &kind, &size], Some(&volume.to_string()), note(filesystem, None), columns)
}

/// Used and total bytes.
fn size(total: u64, used: Option<u64>) -> String {
    match used {
        Some(used) => format!("{} used", format::size_of(used, total)),
        None => format::size(total),
    }
}

/// A line of `columns`: number, content, label, size, note.
fn line(
    [number, content, size]: [&str; 3],
    label: Option<&str>,
    note: Option<String>,
    columns: usize,
) -> String {
    let label_width = columns.saturating_sub(52).clamp(6, 20);
    let content = match label {
        Some(label) => format!("{} {}", text::left(content, 9), text::left(label, label_width)),
        // Content without a filesystem has long names, and no label.
        None => text::left(content, 9 + 1 + label_width),
    };
    let line = format!("{} {content} {}", text::right(number, 2), text::right(size, 19));
    match note {
        Some(note) => text::clip(&format!("{line}  {note}"), columns),
        None => text::clip(&line, columns),
    }
}

/// The line of a volume, what it could be shrunk to, and the lines of the logical volumes in it.
pub(in crate::tui) fn volume_lines(volume: &Volume, columns: usize) -> Vec<String> {
    let inside = volume.logical_volumes.iter().map(|inside| {
        // Below the kind of what they lie in.
        format!("   {}", logical_volume_line(inside, columns.saturating_sub(3)))
    });
    let least = volume.least_size().map(|least| {
        let text = format!("   could be shrunk to about {}", format::size(least));
        text::clip(&text, columns)
    });
    std::iter::once(volume_line(volume, columns)).chain(least).chain(inside).collect()
}

/// What is worth knowing of a volume: how it was left, the system on it without its nickname, and its
/// last use.
fn note(filesystem: Option<&Filesystem>, system: Option<&str>) -> Option<String> {
    let state = filesystem.and_then(|filesystem| match filesystem.state {
        State::Hibernated(_) => Some("hibernated".to_owned()),
        State::Dirty(_) => Some("not closed properly".to_owned()),
        State::Clean | State::Unknown => None,
    });
    let system = system.map(|system| system.split(" (").next().unwrap_or(system).to_owned());
    let last_use = filesystem.and_then(|filesystem| filesystem.last_use.as_ref());
    let last_use = last_use.map(ToString::to_string);
    let notes: Vec<String> = [state, system, last_use].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Kind, LastUse};

    fn filesystem(state: State, last_use: Option<LastUse>) -> Filesystem {
        let label = Some("Windows".into());
        let used = Some(120 << 30);
        Filesystem {
            label,
            used,
            last_use,
            state,
            ..Filesystem::container(Kind::Ntfs, 464 << 30, None)
        }
    }

    #[test]
    fn a_partition_is_told_in_one_line() {
        let asleep = filesystem(State::Hibernated("why".into()), None);
        let mut volume = Volume {
            partition: Some(2),
            size: 464 << 30,
            content: "ntfs".into(),
            filesystem: Some(asleep),
            ..Volume::default()
        };
        let line = volume_line(&volume, 76);
        assert_eq!(line, " 2 ntfs      Windows                 120/464 GiB used  hibernated");
        assert_eq!(text::width(&volume_line(&volume, 30)), 30);
        volume.partition = None;
        assert!(volume_line(&volume, 76).starts_with(" - ntfs"));
    }

    #[test]
    fn notes_tell_state_and_system() {
        let asleep = filesystem(State::Hibernated("why".into()), None);
        let windows = note(Some(&asleep), Some("Windows 11 Pro 23H2"));
        assert_eq!(windows.as_deref(), Some("hibernated, Windows 11 Pro 23H2"));
        let home = LastUse { path: Some("/home".into()), ..LastUse::default() };
        let closed = filesystem(State::Clean, Some(home));
        let debian = note(Some(&closed), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(debian.as_deref(), Some("Debian GNU/Linux 12, last mounted at /home"));
        assert_eq!(note(None, None), None);
    }
}
