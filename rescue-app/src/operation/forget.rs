//! Removing images from the list, by name or by rules.

use serde::Serialize;

use crate::repository::{
    Choice, Id, KeepRules, KeptAs, PruneOptions, PruneReport, Repository, Snapshot, SnapshotFile,
};

use super::access::RepoAccess;
use super::error::{Doing, OperationError};
use super::event::Control;
use super::images::{TAG, rfc3339};
use super::prune;

/// Which images are to go.
#[derive(Clone, Debug)]
pub enum Unwanted {
    /// These: starts of ids, or `latest`.
    Named(Vec<String>),
    /// Of each disk all that no rule keeps. Snapshots of other programs are left alone.
    AllBut(KeepRules),
    /// Every image. Snapshots of other programs are left alone.
    All,
}

/// What to forget.
#[derive(Clone, Debug)]
pub struct ForgetRequest {
    /// The repository.
    pub repo: RepoAccess,
    /// The images.
    pub unwanted: Unwanted,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Free the space right afterwards, leaving at most this share of unused bytes, in percent.
    pub prune: Option<u8>,
}

/// An image that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct ForgottenImage {
    /// Snapshot id, 64 hexadecimal digits.
    pub id: String,
    /// When it was made, RFC 3339; empty when the snapshot file is damaged.
    pub time: String,
    /// The rules that keep it; none: it is forgotten.
    pub kept_as: Vec<KeptAs>,
}

/// The images of one disk.
#[derive(Clone, Debug, Serialize)]
pub struct ForgottenDisk {
    /// The disk's folder in its images.
    pub disk: String,
    /// Its images, newest first; with named images only those.
    pub images: Vec<ForgottenImage>,
}

/// What was forgotten.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetReport {
    /// Every disk with images that were looked at.
    pub disks: Vec<ForgottenDisk>,
    /// Number of images that stay, of those looked at.
    pub kept: u64,
    /// Number of images forgotten.
    pub forgotten: u64,
    /// Whether all this was only calculated.
    pub dry_run: bool,
    /// What was freed, if that was asked for.
    pub pruned: Option<PruneReport>,
}

/// Removes images from the list. Their data stay until pruning frees what no other image uses.
///
/// # Errors
/// Refuses rules that keep nothing. A repository in use by others cannot be locked.
pub fn forget(
    request: &ForgetRequest,
    control: Control<'_>,
) -> Result<ForgetReport, OperationError> {
    if matches!(&request.unwanted, Unwanted::AllBut(rules) if rules.is_empty()) {
        return Err(OperationError::refused(
            "no rule says what to keep, so every image would go",
            "give at least one rule such as --keep-last 3, or say --all",
        ));
    }
    let repo = request.repo.open()?;
    let doing = || format!("forgetting images in {}", repo.location());
    if request.dry_run && request.prune.is_none() {
        let _lock = repo.lock_for_reading().doing(doing)?;
        return choose(&repo, request, control).map(|(report, _)| report);
    }
    let lock = repo.lock_exclusive().doing(doing)?;
    let (mut report, unwanted) = choose(&repo, request, control)?;
    if !request.dry_run {
        unwanted.iter().try_for_each(|id| repo.remove_snapshot(id)).doing(doing)?;
    }
    if let Some(max_unused) = request.prune {
        let (dry_run, without) = (request.dry_run, unwanted.into_iter().collect());
        let options = PruneOptions { max_unused, dry_run, without };
        let doing = || format!("freeing space in {}", repo.location());
        report.pruned = Some(prune::run(&repo, &lock, &options, control).doing(doing)?);
    }
    Ok(report)
}

/// The report, and the snapshots to remove.
fn choose(
    repo: &Repository,
    request: &ForgetRequest,
    control: Control<'_>,
) -> Result<(ForgetReport, Vec<Id>), OperationError> {
    let disks = match &request.unwanted {
        Unwanted::Named(names) => named(repo, names)?,
        Unwanted::AllBut(rules) => by_rules(repo, rules, control)?,
        Unwanted::All => by_rules(repo, &KeepRules::default(), control)?,
    };
    let unwanted: Vec<Id> = disks
        .iter()
        .flat_map(|disk| &disk.images)
        .filter(|image| image.kept_as.is_empty())
        .filter_map(|image| image.id.parse().ok())
        .collect();
    let all: usize = disks.iter().map(|disk| disk.images.len()).sum();
    let kept = (all - unwanted.len()) as u64;
    let forgotten = unwanted.len() as u64;
    let dry_run = request.dry_run;
    Ok((ForgetReport { disks, kept, forgotten, dry_run, pruned: None }, unwanted))
}

/// The named images, damaged ones too.
fn named(repo: &Repository, names: &[String]) -> Result<Vec<ForgottenDisk>, OperationError> {
    let mut disks: Vec<ForgottenDisk> = Vec::new();
    for name in names {
        let id = repo.find_snapshot(name)?;
        let snapshot = repo.load_snapshot(id).ok().map(|file| file.snapshot);
        let image = ForgottenImage {
            id: id.to_string(),
            time: snapshot.as_ref().map(rfc3339).unwrap_or_default(),
            kept_as: Vec::new(),
        };
        let disk = snapshot.as_ref().map_or_else(|| "unknown disk".to_owned(), disk_of);
        match disks.iter_mut().find(|known| known.disk == disk) {
            Some(known) if known.images.iter().any(|other| other.id == image.id) => {}
            Some(known) => known.images.push(image),
            None => disks.push(ForgottenDisk { disk, images: vec![image] }),
        }
    }
    Ok(disks)
}

fn by_rules(
    repo: &Repository,
    rules: &KeepRules,
    control: Control<'_>,
) -> Result<Vec<ForgottenDisk>, OperationError> {
    let list = repo.snapshots()?;
    for (id, error) in &list.damaged {
        control.warn(format!(
            "image {} stays: {error}; 'lifeboat forget {}' removes it",
            id.short(),
            id.short()
        ));
    }
    let is_ours = |file: &SnapshotFile| file.snapshot.tags.iter().any(|tag| tag == TAG);
    let ours = list.snapshots.into_iter().filter(is_ours).collect();
    Ok(rules.apply(ours).iter().filter_map(|group| disk_entry(group)).collect())
}

fn disk_entry(group: &[Choice]) -> Option<ForgottenDisk> {
    let disk = disk_of(&group.first()?.file.snapshot);
    let image = |choice: &Choice| ForgottenImage {
        id: choice.file.id.to_string(),
        time: rfc3339(&choice.file.snapshot),
        kept_as: choice.kept_as.clone(),
    };
    Some(ForgottenDisk { disk, images: group.iter().map(image).collect() })
}

fn disk_of(snapshot: &Snapshot) -> String {
    let paths: Vec<_> = snapshot.paths.iter().map(|path| path.trim_start_matches('/')).collect();
    paths.join(", ")
}
