//! The pages of the menu, one file each. [`Goal`] says which page follows which.

mod capture_plan;
mod clock;
mod confirm;
mod create;
mod disks;
mod folder;
mod free;
mod home;
mod image;
mod images;
mod level;
mod log;
mod open;
mod partitions;
mod paused;
mod places;
mod prepare;
mod progress;
mod question;
mod report;
mod text_window;
mod unlock;
mod write_options;
mod write_plan;

pub(super) use home::Home;
pub(super) use text_window::TextWindow;

use ratatui::text::Line;

use self::confirm::Confirm;
use self::disks::{Disks, Purpose};
use self::free::Free;
use self::images::Images;
use self::level::Level;
use super::look::Look;
use super::model::{Disk, Failure, Image, Repository};
use super::page::Page;
use super::widgets::Lines;
use crate::operation::Keys;

/// What the person is up to while choosing a repository.
#[derive(Clone, Debug)]
enum Goal {
    /// Store this disk, or these partitions of it.
    Capture { disk: Box<Disk>, partitions: Option<Vec<u32>>, keys: Keys },
    /// Write an image to a disk.
    Restore,
    /// Check images.
    Verify,
    /// Look at images.
    Images,
}

impl Goal {
    /// The first word of page titles.
    fn title(&self) -> &'static str {
        match self {
            Self::Capture { .. } => "Capture",
            Self::Restore => "Restore",
            Self::Verify => "Verify",
            Self::Images => "Images",
        }
    }

    /// Whether the repository will be written to.
    fn stores(&self) -> bool {
        matches!(self, Self::Capture { .. })
    }

    /// The page that follows once a repository is open.
    fn next(&self, repository: Repository, images: Vec<Image>) -> Box<dyn Page> {
        match self {
            Self::Capture { disk, partitions, keys } => {
                Box::new(Level::new((**disk).clone(), partitions.clone(), keys.clone(), repository))
            }
            goal => Box::new(Images::new(goal.clone(), repository, images)),
        }
    }
}

/// A failure and what to do about it.
fn failure_lines(lines: &mut Lines, failure: &Failure, look: Look) {
    lines.text(&failure.text, look.bad());
    if let Some(next) = &failure.next_step {
        lines.gap().text(next, look.heading());
    }
}

/// Lines of a page that only waits.
fn waiting(text: &str, now: std::time::Duration) -> Vec<Line<'static>> {
    vec![Line::default(), Line::raw(format!("{} {text}", super::widgets::spinner(now)))]
}
