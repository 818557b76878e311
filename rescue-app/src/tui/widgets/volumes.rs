//! Partitions as text and as a drawn disk.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::disk_bar::{Piece, disk_bar};
use super::text;
use crate::operation::format;
use crate::tui::look::Look;
use crate::tui::model::{LayoutEntry, Volume};

/// Draws a disk of `total` bytes with its partitions.
pub(in crate::tui) fn volume_bar(
    total: u64,
    volumes: &[Volume],
    area: Rect,
    buffer: &mut Buffer,
    look: Look,
) {
    let pieces: Vec<Piece> = volumes
        .iter()
        .map(|volume| Piece {
            start: volume.start,
            size: volume.size,
            used: volume.used,
            style: look.content(volume.kind.as_deref()),
        })
        .collect();
    disk_bar(total, &pieces, area, buffer);
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

/// One partition in `columns`: number, content, label, used and total bytes, note.
pub(in crate::tui) fn volume_line(volume: &Volume, columns: usize) -> String {
    let number = volume.number.map_or_else(|| "-".into(), |number| number.to_string());
    let kind = volume.kind.as_deref().unwrap_or("unknown");
    let size = match volume.used {
        Some(used) => format!("{} used", format::size_of(used, volume.size)),
        None => format::size(volume.size),
    };
    let label_width = columns.saturating_sub(52).clamp(6, 20);
    let content = match &volume.label {
        Some(label) => format!("{} {}", text::left(kind, 9), text::left(label, label_width)),
        // Content without a filesystem has long names, and no label.
        None => text::left(kind, 9 + 1 + label_width),
    };
    let line = format!("{} {content} {}", text::right(&number, 2), text::right(&size, 19));
    match &volume.note {
        Some(note) => text::clip(&format!("{line}  {note}"), columns),
        None => text::clip(&line, columns),
    }
}

/// The line of a volume, what it could be shrunk to, and the lines of the logical volumes in it.
pub(in crate::tui) fn volume_lines(volume: &Volume, columns: usize) -> Vec<String> {
    let inside = volume.inside.iter().map(|inside| {
        // Below the kind of what they lie in.
        format!("   {}", volume_line(inside, columns.saturating_sub(3)))
    });
    let least = volume.least.map(|least| {
        let text = format!("   could be shrunk to about {}", format::size(least));
        text::clip(&text, columns)
    });
    std::iter::once(volume_line(volume, columns)).chain(least).chain(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_told_in_one_line() {
        let mut volume = Volume {
            number: Some(2),
            size: 464 << 30,
            kind: Some("ntfs".into()),
            label: Some("Windows".into()),
            used: Some(120 << 30),
            note: Some("hibernated".into()),
            ..Volume::default()
        };
        let line = volume_line(&volume, 76);
        assert_eq!(line, " 2 ntfs      Windows                 120/464 GiB used  hibernated");
        assert_eq!(text::width(&volume_line(&volume, 30)), 30);
        volume.number = None;
        volume.kind = None;
        assert!(volume_line(&volume, 76).starts_with(" - unknown"));
    }
}
