//! A disk drawn to scale in one line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A partition to be drawn.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Piece {
    /// First byte.
    pub(in crate::tui) start: u64,
    /// Bytes.
    pub(in crate::tui) size: u64,
    /// Bytes in use; `None` when not known.
    pub(in crate::tui) used: Option<u64>,
    /// How it is coloured.
    pub(in crate::tui) style: Style,
}

/// A stretch of the disk: a partition or a gap.
#[derive(Debug)]
struct Stretch<'a> {
    size: u64,
    piece: Option<&'a Piece>,
}

/// Narrowest drawing of a partition, so that small ones can be seen at all.
const NARROWEST: u64 = 2;

/// Draws a disk of `total` bytes: used parts full, unknown ones half dark, free ones light, gaps
/// between partitions dotted.
pub(in crate::tui) fn disk_bar(total: u64, pieces: &[Piece], area: Rect, buffer: &mut Buffer) {
    let stretches = stretches(total, pieces);
    let separators = u64::try_from(stretches.len().saturating_sub(1)).unwrap_or(0);
    let room = u64::from(area.width).saturating_sub(2).saturating_sub(separators);
    if area.height == 0 || area.width < 4 {
        return;
    }
    let widths = widths(&stretches, room);
    let mut text = vec![('│', Style::new())];
    for (index, (stretch, width)) in stretches.iter().zip(widths).enumerate() {
        if index > 0 {
            text.push(('│', Style::new()));
        }
        text.extend(fill(stretch, width));
    }
    text.truncate(usize::from(area.width - 1));
    text.push(('│', Style::new()));
    for (x, (symbol, style)) in (area.x..area.right()).zip(text) {
        buffer[(x, area.y)].set_char(symbol).set_style(style);
    }
}

/// Partitions and the gaps between them that are worth showing, in the order on the disk.
fn stretches(total: u64, pieces: &[Piece]) -> Vec<Stretch<'_>> {
    let mut sorted: Vec<&Piece> = pieces.iter().collect();
    sorted.sort_by_key(|piece| piece.start);
    let worth_showing = total / 100;
    let mut stretches = Vec::new();
    let mut end = 0;
    let gap = |from: u64, to: u64| {
        let size = to.saturating_sub(from);
        (size > worth_showing).then_some(Stretch { size, piece: None })
    };
    for piece in sorted {
        stretches.extend(gap(end, piece.start));
        stretches.push(Stretch { size: piece.size, piece: Some(piece) });
        end = end.max(piece.start.saturating_add(piece.size));
    }
    stretches.extend(gap(end, total));
    stretches
}

/// Shares `room` columns out by size, none below the narrowest while there is room.
fn widths(stretches: &[Stretch<'_>], room: u64) -> Vec<u64> {
    let total: u128 = stretches.iter().map(|stretch| u128::from(stretch.size)).sum();
    let share = |size: u64| {
        let share = u128::from(size) * u128::from(room) / total.max(1);
        u64::try_from(share).unwrap_or(room).max(NARROWEST)
    };
    let mut widths: Vec<u64> = stretches.iter().map(|stretch| share(stretch.size)).collect();
    let mut sum: u64 = widths.iter().sum();
    while sum != room {
        let Some(widest) = widths.iter_mut().max() else { break };
        if sum < room {
            *widest += room - sum;
            break;
        }
        if *widest <= NARROWEST {
            break;
        }
        *widest -= 1;
        sum -= 1;
    }
    widths
}

fn fill(stretch: &Stretch<'_>, width: u64) -> Vec<(char, Style)> {
    let Some(piece) = stretch.piece else {
        return (0..width).map(|_| ('·', Style::new())).collect();
    };
    let Some(used) = piece.used else {
        return (0..width).map(|_| ('▒', piece.style)).collect();
    };
    let share = u128::from(used.min(piece.size)) * u128::from(width);
    let full = u64::try_from(share.div_ceil(u128::from(piece.size.max(1)))).unwrap_or(width);
    (0..width).map(|x| (if x < full { '█' } else { '░' }, piece.style)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, size: u64, used: Option<u64>) -> Piece {
        Piece { start, size, used, style: Style::new() }
    }

    fn drawn(total: u64, pieces: &[Piece], width: u16) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, 1));
        disk_bar(total, pieces, buffer.area, &mut buffer);
        (0..width).map(|x| buffer[(x, 0)].symbol()).collect()
    }

    #[test]
    fn partitions_are_drawn_to_scale_with_their_used_part() {
        let disk = [piece(0, 10, Some(1)), piece(10, 60, Some(30)), piece(70, 20, None)];
        assert_eq!(drawn(100, &disk, 25), "│█░│██████░░░░░░│▒▒▒▒│··│");
    }

    #[test]
    fn small_partitions_stay_visible_and_tiny_gaps_do_not() {
        let disk = [piece(1, 1, Some(1)), piece(2, 998, Some(0))];
        assert_eq!(drawn(1000, &disk, 16), "│██│░░░░░░░░░░░│");
        assert_eq!(drawn(1000, &[], 8), "│······│");
    }

    proptest::proptest! {
        #[test]
        fn any_layout_fits(
            pieces in proptest::collection::vec((0_u64..1 << 60, 0_u64..1 << 60, 0_u64..1 << 60), 0..40),
            total in 0_u64..1 << 60,
            width in 0_u16..120,
        ) {
            let pieces: Vec<Piece> =
                pieces.into_iter().map(|(start, size, used)| piece(start, size, Some(used))).collect();
            proptest::prop_assert_eq!(drawn(total, &pieces, width).chars().count(), usize::from(width));
        }
    }
}
