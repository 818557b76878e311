//! A progress bar.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::look::Look;

/// Draws `fraction` (0 to 1) as a bar with the percentage behind it. It never shows 100 % early.
pub(in crate::tui) fn gauge(fraction: f64, area: Rect, buffer: &mut Buffer, look: Look) {
    const LABEL: u16 = 6;
    if area.width <= LABEL || area.height == 0 {
        return;
    }
    let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
    let columns = area.width - LABEL;
    let half_steps = whole(fraction * f64::from(columns) * 2.0);
    for column in 0..columns {
        let symbol = match half_steps.saturating_sub(u32::from(column) * 2) {
            0 => '░',
            1 => '▌',
            _ => '█',
        };
        buffer[(area.x + column, area.y)].set_char(symbol).set_style(look.bar());
    }
    let label = format!("{:>4} %", whole(fraction * 100.0));
    buffer.set_string(area.x + columns, area.y, label, look.heading());
}

/// The whole part of a small positive number.
fn whole(value: f64) -> u32 {
    // A duration of that many seconds rounds down without a lossy cast.
    let seconds = std::time::Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default();
    u32::try_from(seconds.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(fraction: f64) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 16, 1));
        gauge(fraction, buffer.area, &mut buffer, Look::PLAIN);
        (0..16).map(|x| buffer[(x, 0)].symbol()).collect()
    }

    #[test]
    fn the_bar_fills_in_half_steps_and_rounds_down() {
        assert_eq!(drawn(0.0), "░░░░░░░░░░   0 %");
        assert_eq!(drawn(0.46), "████▌░░░░░  46 %");
        assert_eq!(drawn(0.9999), "█████████▌  99 %");
        assert_eq!(drawn(1.0), "██████████ 100 %");
        assert_eq!(drawn(f64::NAN), "░░░░░░░░░░   0 %");
    }
}
