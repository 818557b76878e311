//! Freeing space in a repository: which images stay.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::errand::Opened;
use super::waiting::failure_lines;
use crate::operation::ImageSummary;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Keep, Repository};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask};
use crate::tui::widgets::{Cursor, Lines, choices, spinner};

/// All choices, in the order shown.
const CHOICES: [Keep; 4] = [Keep::All, Keep::Rotation, Keep::Three, Keep::One];

/// What is to be freed.
#[derive(Clone)]
pub(in crate::tui) struct Going {
    /// Where.
    pub(in crate::tui) repository: Repository,
    /// The rule for what stays.
    pub(in crate::tui) keep: Keep,
    /// The images that go, as far as they are in the list.
    pub(in crate::tui) images: Vec<ImageSummary>,
    /// The number of images that go.
    pub(in crate::tui) count: usize,
}

/// The choice among them.
pub(in crate::tui) struct Free {
    repository: Repository,
    images: Vec<ImageSummary>,
    cursor: Cursor,
    working: bool,
    failure: Option<Failure>,
    then: Then<Going>,
}

impl Free {
    /// The choice for a repository with these images.
    pub(in crate::tui) fn new((repository, images): Opened, then: Then<Going>) -> Self {
        Self { repository, images, cursor: Cursor::default(), working: false, failure: None, then }
    }

    fn keep(&self) -> Keep {
        CHOICES.get(self.cursor.index).copied().unwrap_or_default()
    }

    fn choose(&mut self) -> Action {
        self.failure = None;
        if self.keep() == Keep::All {
            return self.go_on(&[]);
        }
        self.working = true;
        ask(Request::PlanFree(self.repository.clone(), self.keep()))
    }

    /// Goes on with the images of these ids, which go.
    fn go_on(&self, ids: &[String]) -> Action {
        let images = self.images.iter().filter(|image| ids.contains(&image.id)).cloned().collect();
        let (repository, keep) = (self.repository.clone(), self.keep());
        self.then.go(Going { repository, keep, images, count: ids.len() })
    }
}

fn description(keep: Keep) -> (&'static str, &'static str) {
    match keep {
        Keep::All => ("Keep all images", "Frees what forgotten images left behind."),
        Keep::Rotation => (
            "Keep 7 daily, 4 weekly and 12 monthly images of every disk",
            "Forgets the others and frees their space.",
        ),
        Keep::Three => {
            ("Keep the 3 newest images of every disk", "Forgets the others and frees their space.")
        }
        Keep::One => {
            ("Keep the newest image of every disk", "Forgets the others and frees their space.")
        }
    }
}

impl Page for Free {
    fn title(&self) -> String {
        "Images: free space".into()
    }

    fn hints(&self) -> Vec<Hint> {
        if self.working {
            return vec![("", "Please wait")];
        }
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Forgotten images leave data behind that no other image uses, and so does a capture \
             that was given up. This removes it. Images that stay are not changed.",
            "The rules count whole images and those of single partitions apart, each disk by itself.",
            "Before an image is forgotten you are asked. Other rules: \"lifeboat forget\" in the \
             shell.",
        ]
    }

    fn is_busy(&self) -> bool {
        self.working
    }

    fn on_escape(&mut self) -> Action {
        if self.working { Action::None } else { Action::Back }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.working = false;
        match reply {
            Reply::FreePlan(Ok(ids)) => self.go_on(&ids),
            Reply::FreePlan(Err(failure)) => {
                self.failure = Some(failure);
                Action::None
            }
            _ => Action::None,
        }
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let page = usize::from(context.body.height);
        if self.working || self.cursor.on_key(key, CHOICES.len(), page) {
            return Action::None;
        }
        if key == Key::Enter { self.choose() } else { Action::None }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut top = Lines::new(area.width);
        top.fact("Repository", &self.repository.title);
        if self.working {
            top.text(&format!("{} Looking", spinner(now)), Style::new());
        } else if let Some(failure) = &self.failure {
            failure_lines(&mut top, failure, look);
        }
        let list = CHOICES.iter().map(|choice| description(*choice));
        choices(&top.finish(), list, self.cursor, area, (buffer, look));
    }
}
