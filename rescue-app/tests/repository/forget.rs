//! Keep rules, judged by what stock restic would keep.

use std::collections::{BTreeMap, BTreeSet};

use common::Random;
use lifeboat::repository::{KeepRules, Snapshot};
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::fixture::{init, remove, save, snapshot};
use crate::stock_restic::Restic;

/// Generated sets of snapshots, one for each path.
const GROUPS: u64 = 40;

/// Times of a set: clusters of minutes, hours, days or months, in several time zones, with new
/// years and the odd leap day among them.
fn times(random: &mut Random) -> Vec<OffsetDateTime> {
    let start = OffsetDateTime::from_unix_timestamp(1_703_000_000).unwrap();
    let mut at = start + Duration::hours(i64::try_from(random.below(24 * 400)).unwrap());
    let zone = UtcOffset::from_whole_seconds(900 * (i32::try_from(random.below(96)).unwrap() - 48));
    let step = [50, 3_000, 40_000, 300_000, 3_000_000][usize::try_from(random.below(5)).unwrap()];
    let moved = |random: &mut Random| match random.below(4) {
        0 => UtcOffset::UTC,
        _ => zone.unwrap(),
    };
    let mut times = Vec::new();
    for _ in 0..random.below(30) {
        at += Duration::seconds(1 + i64::try_from(random.below(step)).unwrap());
        times.push(at.to_offset(moved(random)));
    }
    times
}

fn rules(random: &mut Random) -> KeepRules {
    let has_span = random.below(3);
    let mut one = || if random.below(3) == 0 { u32::try_from(random.below(9)).unwrap() } else { 0 };
    let (last, hourly, daily) = (one(), one(), one());
    let (weekly, monthly, yearly) = (one(), one(), one());
    let within = match has_span {
        0 => format!("{}y{}m{}d{}h", one() / 8, one(), one(), one()).parse().ok(),
        _ => None,
    };
    let rules = KeepRules { last, hourly, daily, weekly, monthly, yearly, within };
    if rules.is_empty() { KeepRules { monthly: 2, ..rules } } else { rules }
}

fn by_restic(restic: &Restic, rules: &KeepRules) -> BTreeSet<String> {
    let KeepRules { last, hourly, daily, weekly, monthly, yearly, within } = *rules;
    let numbers = [
        ("--keep-last", last),
        ("--keep-hourly", hourly),
        ("--keep-daily", daily),
        ("--keep-weekly", weekly),
        ("--keep-monthly", monthly),
        ("--keep-yearly", yearly),
    ];
    let mut args: Vec<String> =
        ["forget", "--dry-run", "--json", "--group-by", "host,paths"].map(str::to_owned).to_vec();
    let set = numbers.iter().filter(|(_, number)| *number > 0);
    args.extend(set.flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]));
    args.extend(within.into_iter().flat_map(|span| ["--keep-within".to_owned(), span.to_string()]));
    let json = restic.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let groups: serde_json::Value = serde_json::from_str(&json).unwrap();
    let kept = groups.as_array().unwrap().iter().flat_map(|group| group["keep"].as_array());
    kept.flatten().map(|file| file["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_rules_keep_what_restic_keeps() {
    let restic = Restic::new();
    let repo = init(&restic);
    let first = save(&repo, b"something");
    let tree = repo.load_snapshot(first).unwrap().snapshot.tree;
    remove(&repo, first);
    let lock = repo.lock_shared().unwrap();
    let mut random = Random::from_environment();
    for group in 0..GROUPS {
        let (host, path) = (format!("host {}", group % 3), format!("/disk {group}"));
        for time in times(&mut random) {
            let (hostname, paths) = (host.clone(), vec![path.clone()]);
            repo.save_snapshot(&lock, &Snapshot { time, hostname, paths, ..snapshot(tree) })
                .unwrap();
        }
    }
    drop(lock);
    let files = repo.snapshots().unwrap().snapshots;
    for _ in 0..12 {
        let rules = rules(&mut random);
        let mut by_path = BTreeMap::<_, Vec<_>>::new();
        for file in files.clone() {
            by_path.entry(file.snapshot.paths.clone()).or_default().push(file);
        }
        let groups: Vec<_> = by_path.into_values().map(|group| rules.apply(group)).collect();
        let choices = groups.iter().flatten();
        let ours: BTreeSet<String> = choices
            .filter(|choice| !choice.kept_as.is_empty())
            .map(|choice| choice.file.id.to_string())
            .collect();
        assert_eq!(ours, by_restic(&restic, &rules), "{rules:?}");
        assert!(groups.iter().all(|group| !group[0].kept_as.is_empty()), "{rules:?}");
    }
}
