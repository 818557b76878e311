//! What a person says of an image: tags and a note. Both are among the tags of its snapshot, where restic
//! shows them too; the note is the tag `note=TEXT`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::image::stored::TAG;
use crate::repository::Snapshot;

use super::order;

/// What the tag of a note begins with.
const NOTE: &str = "note=";

/// A word to find images by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    fn is_person_s(text: &str) -> bool {
        text != TAG && !text.starts_with(NOTE) && !order::is_order_s(text)
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_one =
            !text.trim().is_empty() && !text.contains(|c: char| c == ',' || c.is_control());
        match is_one && Self::is_person_s(text) {
            true => Ok(Self(text.to_owned())),
            // restic takes a comma for the end of a tag.
            false => Err(format!(
                "{text:?} cannot be a tag: it has to be a text without commas, other than {TAG:?} and \
                 what begins with {NOTE:?} or {:?}",
                order::TAG
            )),
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Words to find it by.
    pub tags: Vec<Tag>,
    /// A sentence for people.
    pub note: Option<String>,
}

impl Label {
    /// As tags of a snapshot.
    pub(super) fn to_tags(&self) -> impl Iterator<Item = String> {
        let note = self.note.as_ref().map(|note| format!("{NOTE}{note}"));
        self.tags.iter().map(Tag::to_string).chain(note)
    }
}

/// The tags that people gave an image.
pub(super) fn tags(snapshot: &Snapshot) -> Vec<String> {
    snapshot.tags.iter().filter(|tag| Tag::is_person_s(tag)).cloned().collect()
}

/// What people noted of it.
pub(super) fn note(snapshot: &Snapshot) -> Option<String> {
    snapshot.tags.iter().find_map(|tag| Some(tag.strip_prefix(NOTE)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_say_is_told_from_what_the_program_says() {
        let label = Label {
            tags: vec!["monthly".parse().unwrap()],
            note: Some("before, and after".into()),
        };
        let mut snapshot =
            Snapshot { tags: vec![TAG.into(), "stored=3".into()], ..Snapshot::of_nothing() };
        assert!(tags(&snapshot).is_empty() && note(&snapshot).is_none());
        snapshot.tags.extend(label.to_tags());
        assert_eq!(tags(&snapshot), ["monthly"]);
        assert_eq!(note(&snapshot), label.note);
        for wrong in ["", " ", "a,b", "lifeboat", "stored=9", "note=x", "a\nb"] {
            assert!(wrong.parse::<Tag>().is_err(), "{wrong:?}");
        }
    }
}
