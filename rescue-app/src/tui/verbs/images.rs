//! Looking at images, and caring for a repository.

use super::super::machine::Request;
use super::super::model::{Confirmation, Job, Repository};
use super::super::page::{Action, Then, open};
use super::super::screens::{
    Agreed, Confirm, Deeds, Errand, Free, Going, Images, Item, Opened, Places, ProgressPage,
    Purpose, Said, Subject, Words,
};
use super::{browse, restore, verify};
use crate::operation::{ImageSummary, Phase};

/// The entry of the main menu.
pub(super) const ITEM: Item = Item::start('I', "Images", "List, inspect and forget images.", place);

fn place() -> Action {
    list("Images", Purpose::Tend)
}

/// From the choice of a repository to the list of its images.
pub(super) fn list(title: &'static str, purpose: Purpose) -> Action {
    let then = move |opened| open(Images::new(purpose, deeds(), opened));
    open(Places::new(Errand { title, source: None, then: Then::new(then) }))
}

/// What can be done with images, wherever they are shown.
pub(super) fn deeds() -> Deeds {
    Deeds {
        browse: Then::new(browse::files),
        restore: Then::new(restore::target),
        verify: Then::new(verify::run),
        forget: Then::new(forget),
        check: Then::new(verify::check),
        free: Then::new(free),
    }
}

fn image_line(image: &ImageSummary) -> String {
    let marks: String = image.marks().iter().map(|mark| format!(" [{mark}]")).collect();
    format!("{}, {}{marks}", image.short_id(), image.line())
}

fn forget((repository, image): (Repository, ImageSummary)) -> Action {
    let subject = Subject {
        title: "Images: forget".into(),
        help: &[
            "The image leaves the list. Data it shares with other images stays; \"Free space\" \
                 on the page of all images gives the rest of the space back.",
        ],
        said: vec![
            Said::Text("This image will be forgotten:".into()),
            Said::Gone(image_line(&image)),
            Said::Gap,
            Said::Text("It can then no longer be restored.".into()),
        ],
        confirmation: Confirmation {
            ask: "the first 4 characters of its id".into(),
            word: image.id.chars().take(4).collect(),
        },
    };
    open(Confirm::new(subject, Agreed::Ask(Box::new(Request::Forget(repository, image)))))
}

fn free(opened: Opened) -> Action {
    open(Free::new(opened, Then::new(agree_to_free)))
}

/// What loses no image needs no agreement.
fn agree_to_free(going: Going) -> Action {
    if going.count == 0 {
        return run_free(going);
    }
    let mut said =
        vec![Said::Text("These images will be forgotten and their data removed:".into())];
    said.extend(going.images.iter().map(|image| Said::Gone(image_line(image))));
    said.extend([Said::Gap, Said::Text("They can then no longer be restored.".into())]);
    let subject = Subject {
        title: "Images: free space".into(),
        help: &[
            "The images leave the list, and what no other image uses is removed. This cannot be \
                 undone.",
        ],
        said,
        confirmation: Confirmation {
            ask: "the number of images that go".into(),
            word: going.count.to_string(),
        },
    };
    let then = Then::new(move |()| run_free(going.clone()));
    open(Confirm::new(subject, Agreed::Go(then)))
}

fn run_free(Going { repository, keep, .. }: Going) -> Action {
    let done = "What no image uses is gone.";
    let left = "All images that are in the list are whole. Freeing space again carries on.";
    let words = Words {
        title: "Free space",
        subjects: ["What no image uses".into(), format!("In    {}", repository.title)],
        written: "Written",
        checking: Phase::Verifying.title(),
        stop: "Stop freeing space? No image is harmed by it; freeing space again carries on.",
        done,
        done_with_warnings: done,
        next: "",
        work: "Freeing space",
        left,
        left_half_written: left,
    };
    open(ProgressPage::new(Job::Free { repository, keep }, words))
}
