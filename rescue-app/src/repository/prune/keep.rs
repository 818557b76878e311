//! Which snapshots to keep (restic `doc/060_forget.rst`; `internal/restic/snapshot_policy.go`):
//! rules count calendar units in each snapshot's own time zone, from the newest one back.

use serde::Serialize;
use time::OffsetDateTime;

use super::within::Within;
use crate::repository::format::SnapshotFile;

/// How many snapshots of a group are kept, for each unit of time; 0 leaves a rule out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepRules {
    /// The newest ones.
    pub last: u32,
    /// The newest of as many hours that have any.
    pub hourly: u32,
    /// The newest of as many days that have any.
    pub daily: u32,
    /// The newest of as many ISO weeks that have any.
    pub weekly: u32,
    /// The newest of as many months that have any.
    pub monthly: u32,
    /// The newest of as many years that have any.
    pub yearly: u32,
    /// All that are no older than the newest by as much.
    pub within: Option<Within>,
}

/// Why a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptAs {
    /// By [`KeepRules::last`].
    Last,
    /// By [`KeepRules::hourly`].
    Hourly,
    /// By [`KeepRules::daily`].
    Daily,
    /// By [`KeepRules::weekly`].
    Weekly,
    /// By [`KeepRules::monthly`].
    Monthly,
    /// By [`KeepRules::yearly`].
    Yearly,
    /// By [`KeepRules::within`].
    Within,
    /// By one of its tags.
    Tag,
    /// By no rule, but it was stored last.
    #[serde(rename = "stored last")]
    StoredLast,
    /// By no rule, for rules are no reason to remove what lacks data.
    Incomplete,
}

impl KeptAs {
    /// One word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
            Self::Tag => "tag",
            Self::StoredLast => "stored last",
            Self::Incomplete => "incomplete",
        }
    }

    /// The number of the unit that `time` falls into; `number` counts snapshots.
    fn unit(self, time: OffsetDateTime, number: i64) -> i64 {
        let date = time.date();
        let (year, month) = (i64::from(date.year()), i64::from(u8::from(date.month())));
        let day = (year * 100 + month) * 100 + i64::from(date.day());
        match self {
            Self::Last | Self::Within | Self::Tag | Self::StoredLast | Self::Incomplete => number,
            Self::Hourly => day * 100 + i64::from(time.hour()),
            Self::Daily => day,
            Self::Weekly => {
                let (year, week, _) = date.to_iso_week_date();
                i64::from(year) * 100 + i64::from(week)
            }
            Self::Monthly => year * 100 + month,
            Self::Yearly => year,
        }
    }
}

/// What the rules say of one snapshot.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The snapshot.
    pub file: SnapshotFile,
    /// The rules that keep it; none: it is to go.
    pub kept_as: Vec<KeptAs>,
}

impl KeepRules {
    /// Whether no rule is set, which would keep nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies the rules to snapshots that belong together, as restic's `forget` does; the answer is
    /// from new to old. As long as a rule is set, the newest is kept.
    pub fn apply(&self, mut group: Vec<SnapshotFile>) -> Vec<Choice> {
        group.sort_by_key(|file| std::cmp::Reverse((file.snapshot.time, file.id)));
        let mut rules = [
            (KeptAs::Last, self.last, None),
            (KeptAs::Hourly, self.hourly, None),
            (KeptAs::Daily, self.daily, None),
            (KeptAs::Weekly, self.weekly, None),
            (KeptAs::Monthly, self.monthly, None),
            (KeptAs::Yearly, self.yearly, None),
        ];
        let since = group.first().and_then(|newest| self.within?.before(newest.snapshot.time));
        let mut choose = |(number, file): (i64, SnapshotFile)| {
            let mut kept_as = Vec::new();
            for (rule, left, last) in &mut rules {
                let unit = Some(rule.unit(file.snapshot.time, number));
                if *left > 0 && unit != *last {
                    (*left, *last) = (*left - 1, unit);
                    kept_as.push(*rule);
                }
            }
            if self.within.is_some() && since.is_none_or(|since| file.snapshot.time > since) {
                kept_as.push(KeptAs::Within);
            }
            Choice { file, kept_as }
        };
        (0..).zip(group).map(&mut choose).collect()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::repository::format::{Id, Snapshot};

    fn file(time: OffsetDateTime) -> SnapshotFile {
        let snapshot = Snapshot { time, ..Snapshot::of_nothing() };
        SnapshotFile { id: Id::of(time.to_string().as_bytes()), snapshot }
    }

    #[test]
    fn the_newest_is_kept_and_days_are_those_of_the_snapshot() {
        // The second and third are on one day in UTC, but not where they were made.
        let times = [
            datetime!(2026-01-01 12:00 UTC),
            datetime!(2026-01-02 00:30 +02:00),
            datetime!(2026-01-01 23:30 +02:00),
        ];
        let rules = KeepRules { daily: 5, ..KeepRules::default() };
        let group = rules.apply(times.iter().map(|time| file(*time)).collect());
        let kept: Vec<bool> = group.iter().map(|choice| !choice.kept_as.is_empty()).collect();
        assert_eq!(kept, [true, true, false]);
        assert_eq!(group[0].file.snapshot.time, times[1]);
        assert_eq!(group[0].kept_as, [KeptAs::Daily]);
    }
}
