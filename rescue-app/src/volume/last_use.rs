//! When and where a filesystem was last in use.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// What a superblock tells of the last time somebody used the filesystem. Any of it may be missing;
/// clocks may have been wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When it was last mounted.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub mounted: Option<OffsetDateTime>,
    /// Where it was mounted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was last written to.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub written: Option<OffsetDateTime>,
    /// The kind of system that mounted it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl LastUse {
    /// A time in seconds since 1970, UTC; `None` for 0 and for what no clock shows.
    pub(crate) fn time(seconds: i64) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|_| seconds != 0)
    }

    /// Itself, when it tells anything.
    pub(crate) fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// "last mounted 2026-11-20 at /home"; without such a time, "last written 2026-11-20".
impl fmt::Display for LastUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, time) = match (self.mounted, self.written) {
            (None, Some(written)) => ("last written", Some(written)),
            (mounted, _) => ("last mounted", mounted),
        };
        f.write_str(what)?;
        let day = format_description!("[year]-[month]-[day]");
        if let Some(day) = time.and_then(|time| time.format(day).ok()) {
            write!(f, " {day}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        match &self.by {
            Some(by) => write!(f, " by {by}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_words_and_survives_the_manifest() {
        let mounted = LastUse::time(1_700_000_000);
        let path = Some("/home".to_owned());
        let home = LastUse { mounted, path, written: LastUse::time(1_700_086_400), by: None };
        assert_eq!(home.to_string(), "last mounted 2023-11-14 at /home");
        let json = serde_json::to_string(&home).unwrap();
        assert!(json.starts_with(r#"{"mounted":"2023-11-14T22:13:20Z","path":"/home","#), "{json}");
        assert_eq!(serde_json::from_str::<LastUse>(&json).unwrap(), home);
        let by = Some("Linux".to_owned());
        let stick = LastUse { written: mounted, by, ..LastUse::default() };
        assert_eq!(stick.to_string(), "last written 2023-11-14 by Linux");
        assert_eq!(
            LastUse { mounted: None, path: Some("/".into()), ..LastUse::default() }.to_string(),
            "last mounted at /"
        );
    }

    #[test]
    fn times_that_no_clock_shows_are_left_out() {
        assert_eq!(LastUse::time(0), None);
        assert_eq!(LastUse::time(0xff_ffff_ffff), None);
        assert!(LastUse::time(0xffff_ffff).is_some());
        assert_eq!(LastUse::default().known(), None);
    }
}
