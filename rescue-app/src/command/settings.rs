//! What is configured once: named places of repositories, and what is usual.
//!
//! `/etc/lifeboat.toml`, then `lifeboat/config.toml` in `$XDG_CONFIG_HOME` or `~/.config` (XDG Base
//! Directory Specification), whose entries win.

use std::collections::BTreeMap;
use std::env::var_os;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use toml_edit::{Document, Item, TableLike};

use crate::console;
use crate::store::Location;

use super::parse::{refusal, seen};

const OF_ALL: &str = "/etc/lifeboat.toml";

/// Options of `capture` that may be configured: those that say how, none that says what.
const OF_CAPTURE: [&str; 3] = ["level", "chunk-size", "retries"];

/// What the configuration says.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The repository where the command line and the environment name none.
    pub(super) repo: Option<OsString>,
    /// Options of `capture`, by their names.
    pub(super) capture: BTreeMap<String, String>,
    places: BTreeMap<String, Place>,
}

/// A repository with a name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    repo: Location,
    pub(super) passphrase_file: Option<OsString>,
    pub(super) cacert: Option<OsString>,
}

impl Settings {
    /// What the files say.
    ///
    /// # Errors
    /// With the file and the line, when one cannot be read or has something in it that is not known.
    pub(super) fn load() -> anyhow::Result<Self> {
        let mut settings = Self::default();
        for file in std::iter::once(PathBuf::from(OF_ALL)).chain(of_this_user()) {
            // What cannot even be seen, as in the home of the user who called `sudo`, is not there.
            if fs::metadata(&file).is_ok() {
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("reading {}", console::path(&file)))?;
                settings.add(&text).with_context(|| console::path(&file))?;
            }
        }
        Ok(settings)
    }

    /// The place that a word with `@` in front names; `None` for any other word.
    pub(super) fn place(&self, word: &OsStr) -> Option<&Place> {
        self.places.get(word.to_str()?.strip_prefix('@')?)
    }

    /// The location that a word of the command line names.
    pub(super) fn location(&self, word: &OsStr) -> Result<Location, String> {
        if let Some(place) = self.place(word) {
            return Ok(place.repo.clone());
        }
        Location::from_os(word).map_err(|error| match self.places.is_empty() {
            true => error.to_string(),
            false => {
                let names: Vec<String> =
                    self.places.keys().map(|name| format!("@{name}")).collect();
                format!("{error}; configured are {}", names.join(", "))
            }
        })
    }

    fn add(&mut self, text: &str) -> anyhow::Result<()> {
        let document = parsed(text)?;
        for (key, item) in document.iter() {
            let here = || format!("line {}: {key}", line_of(text, document.as_table(), key));
            match (key, item.as_table_like()) {
                ("repo", None) => self.repo = Some(word(item).with_context(here)?.into()),
                ("capture", Some(options)) => self.add_capture(text, options)?,
                ("places", Some(places)) => self.add_places(text, places)?,
                _ => bail!("{} is not known; there are repo, [places.NAME] and [capture]", here()),
            }
        }
        Ok(())
    }

    fn add_capture(&mut self, text: &str, options: &dyn TableLike) -> anyhow::Result<()> {
        for (key, item) in options.iter() {
            let here = || format!("line {}: {key}", line_of(text, options, key));
            if !OF_CAPTURE.contains(&key) {
                bail!("{} is not known; of capture there are {}", here(), OF_CAPTURE.join(", "));
            }
            let value = word(item).with_context(here)?;
            understood(key, &value).with_context(here)?;
            self.capture.insert(key.to_owned(), value);
        }
        Ok(())
    }

    fn add_places(&mut self, text: &str, places: &dyn TableLike) -> anyhow::Result<()> {
        for (name, item) in places.iter() {
            let here = || format!("line {}: place {name}", line_of(text, places, name));
            let entries = item.as_table_like().with_context(|| {
                format!("{} has no entries; give it repo = \"…\" at least", here())
            })?;
            self.places.insert(name.to_owned(), place(text, entries).with_context(here)?);
        }
        Ok(())
    }
}

/// A file in TOML; what is wrong in it, with the line.
pub(super) fn parsed(text: &str) -> anyhow::Result<Document<&str>> {
    Document::parse(text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        anyhow!("line {}: {}", line(text, &at), error.message())
    })
}

fn place(text: &str, entries: &dyn TableLike) -> anyhow::Result<Place> {
    let mut words = BTreeMap::new();
    for (key, item) in entries.iter() {
        let here = || format!("line {}: {key}", line_of(text, entries, key));
        if !["repo", "passphrase-file", "cacert"].contains(&key) {
            bail!("{} is not known; of a place there are repo, passphrase-file and cacert", here());
        }
        words.insert(key, word(item).with_context(here)?);
    }
    let repo = words.remove("repo").context("repo is missing")?;
    Ok(Place {
        repo: repo.parse().with_context(|| format!("repo {repo:?}"))?,
        passphrase_file: words.remove("passphrase-file").map(OsString::from),
        cacert: words.remove("cacert").map(OsString::from),
    })
}

/// A text or number as it would stand on the command line.
pub(super) fn word(item: &Item) -> anyhow::Result<String> {
    let text = item.as_str().map(str::to_owned);
    text.or_else(|| item.as_integer().map(|number| number.to_string()))
        .context("has to be a text in quotes, or a number")
}

/// Refuses a value that the option of `capture` does not take.
fn understood(option: &str, value: &str) -> anyhow::Result<()> {
    let words = ["lifeboat", "capture", "-", &format!("--{option}={value}")].map(OsString::from);
    seen(&words).map(drop).map_err(|error| refusal(&error))
}

/// The line that a key of a table is in.
pub(super) fn line_of(text: &str, table: &dyn TableLike, key: &str) -> usize {
    let named = table.get_key_value(key).and_then(|(key, item)| key.span().or_else(|| item.span()));
    line(text, &named.unwrap_or_default())
}

fn line(text: &str, at: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..at.start).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn of_this_user() -> Option<PathBuf> {
    let base = var_os("XDG_CONFIG_HOME").filter(|base| Path::new(base).is_absolute());
    let base =
        base.map(PathBuf::from).or_else(|| Some(Path::new(&var_os("HOME")?).join(".config")))?;
    Some(base.join("lifeboat/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_line() {
        let told = |text: &str| {
            let error = Settings::default().add(text).unwrap_err();
            format!("{error:#}")
        };
        assert!(told("repo = \"/x\"\nreop = 1\n").starts_with("line 2: reop is not known"));
        assert!(told("\n\nrepo = /x\n").starts_with("line 3: "));
        assert!(told("[places.a]\nrepo = \"/x\"\ncert = \"y\"\n").contains("line 3: cert"));
        assert!(told("[places.a]\ncacert = \"y\"\n").contains("line 1: place a: repo is missing"));
        assert!(told("[capture]\nerase = \"x\"\n").contains("line 2: erase is not known"));
        assert!(told("[capture]\nlevel = true\n").contains("line 2: level: has to be a text"));
        assert!(
            told("[capture]\nlevel = \"big\"\n").contains("line 2: level: invalid value 'big'")
        );
    }

    #[test]
    fn later_files_win() {
        let mut settings = Settings::default();
        settings.add("repo = \"@a\"\n[places.a]\nrepo = \"/x\"\n").unwrap();
        settings.add("[places]\na = { repo = \"/y\", passphrase-file = \"/w\" }\n").unwrap();
        assert_eq!(settings.location(OsStr::new("@a")), Ok(Location::Folder("/y".into())));
        assert_eq!(settings.place(OsStr::new("@a")).unwrap().passphrase_file, Some("/w".into()));
        assert!(settings.location(OsStr::new("@b")).unwrap_err().contains("configured are @a"));
        assert_eq!(settings.location(OsStr::new("./@b")), Ok(Location::Folder("./@b".into())));
    }
}
