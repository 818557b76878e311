//! Speed over time, drawn with half blocks: the kernel console has no finer ones.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::look::Look;

/// Samples kept: more than the widest screen has columns.
const KEPT: usize = 512;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// The speeds of the last minutes, one a second, in bytes a second.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct History {
    samples: VecDeque<f64>,
    last: Option<Duration>,
    /// The highest speed seen; it only grows, so that the graph does not jump.
    highest: f64,
}

impl History {
    /// Takes the speed at `now`, if a second passed since the last sample.
    pub(in crate::tui) fn sample(&mut self, now: Duration, speed: f64) {
        if self.last.is_some_and(|last| now.saturating_sub(last) < INTERVAL) {
            return;
        }
        self.last = Some(now);
        self.highest = self.highest.max(speed);
        self.samples.push_back(speed);
        if self.samples.len() > KEPT {
            self.samples.pop_front();
        }
    }

    /// The highest speed seen.
    pub(in crate::tui) fn highest(&self) -> f64 {
        self.highest
    }
}

/// Draws the newest samples, the last one at the right.
pub(in crate::tui) fn speed_graph(history: &History, area: Rect, buffer: &mut Buffer, look: Look) {
    if history.highest <= 0.0 {
        return;
    }
    for (column, speed) in (0..area.width).rev().zip(history.samples.iter().rev()) {
        let halves = f64::from(area.height) * 2.0 * speed / history.highest;
        for row in 0..area.height {
            let above = halves - f64::from(area.height - 1 - row) * 2.0;
            let symbol = if above >= 1.5 {
                '█'
            } else if above >= 0.5 {
                '▄'
            } else {
                continue;
            };
            buffer[(area.x + column, area.y + row)].set_char(symbol).set_style(look.bar());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_a_second_apart_and_drawn_from_the_right() {
        let mut history = History::default();
        for (tenths, speed) in [(0, 100.0), (5, 900.0), (10, 200.0), (20, 400.0)] {
            history.sample(Duration::from_millis(tenths * 100), speed);
        }
        assert!((history.highest() - 400.0).abs() < 1e-9, "the sample at 0.5 s is left out");
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 2));
        speed_graph(&history, buffer.area, &mut buffer, Look::PLAIN);
        assert_eq!(buffer, Buffer::with_lines(["   █", " ▄██"]));
    }
}
