//! Removing images from the list, by name or by rules.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::progress::Control;
use crate::repository::{
    Choice, Id, IndexedRepository, KeepRules, KeptAs, PruneOptions, PruneReport, Repository,
    SnapshotFile,
};

use super::access::RepoAccess;
use super::boot::BootNote;
use super::catalog::{Catalog, Listed, clock_warning};
use super::error::{Doing, OperationError};
use super::images::rfc3339;
use super::label::Tag;
use super::latest::{self, OfSeveral};
use super::order;
use crate::image::stored::folder_of;

/// Which images are to go.
#[derive(Clone, Debug)]
pub enum Unwanted {
    /// These: starts of ids, `latest`, or `latest:DISK`.
    Named(Vec<String>),
    /// Of each disk all that no rule keeps. What holds other partitions, or lacks sectors, counts
    /// apart; what lacks data in the repository stays. Snapshots of other programs are left alone.
    AllBut(Rules),
    /// Every image. Snapshots of other programs are left alone.
    All,
}

/// Which images stay, and of which disks.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What is kept of each disk.
    pub keep: KeepRules,
    /// Images with one of these tags are kept.
    pub tags: Vec<Tag>,
    /// The one disk they are for, by serial number or another name of its own; `None` for each.
    pub disk: Option<String>,
    /// Whether the image of a disk that was stored last may go too, when a wrong clock makes others
    /// look newer.
    pub stored_last_too: bool,
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
    /// What it lacks: see [`super::ImageSummary::marks`].
    pub marks: Vec<String>,
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
    if matches!(&request.unwanted, Unwanted::AllBut(rules) if rules.keep.is_empty() && rules.tags.is_empty())
    {
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
        repo.remove_snapshots(&lock, &unwanted).doing(doing)?;
        for (folder, id) in request
            .repo
            .folder()
            .into_iter()
            .flat_map(|folder| unwanted.iter().map(move |id| (folder, id)))
        {
            BootNote::remove(folder, &id.to_string());
        }
    }
    if let Some(max_unused) = request.prune {
        let (dry_run, without) = (request.dry_run, unwanted.into_iter().collect());
        let options = PruneOptions { max_unused, dry_run, without };
        let doing = || format!("freeing space in {}", repo.location());
        report.pruned = Some(repo.prune(&lock, &options, control).doing(doing)?);
    }
    Ok(report)
}

/// The report, and the snapshots to remove.
fn choose(
    repo: &Repository,
    request: &ForgetRequest,
    control: Control<'_>,
) -> Result<(ForgetReport, Vec<Id>), OperationError> {
    let repo = repo.load_index()?;
    repo.distrust_bad_packs(&repo.packs_with_sizes()?);
    let disks = match &request.unwanted {
        Unwanted::Named(names) => named(&repo, names, control)?,
        Unwanted::AllBut(rules) => by_rules(&repo, rules, control)?,
        Unwanted::All => all(&repo, control)?,
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
fn named(
    repo: &IndexedRepository,
    names: &[String],
    control: Control<'_>,
) -> Result<Vec<ForgottenDisk>, OperationError> {
    let mut disks: Vec<ForgottenDisk> = Vec::new();
    for name in names {
        let meant = latest::find(repo, name, OfSeveral::Refused)?;
        meant.doubts.into_iter().for_each(|doubt| control.warn(doubt));
        let snapshot = repo.load_snapshot(meant.id).ok().map(|file| file.snapshot);
        let image = ForgottenImage {
            id: meant.id.to_string(),
            time: snapshot.as_ref().map(rfc3339).unwrap_or_default(),
            kept_as: Vec::new(),
            marks: Vec::new(),
        };
        let disk = snapshot.as_ref().map_or_else(|| "unknown disk".to_owned(), folder_of);
        match disks.iter_mut().find(|known| known.disk == disk) {
            Some(known) if known.images.iter().any(|other| other.id == image.id) => {}
            Some(known) => known.images.push(image),
            None => disks.push(ForgottenDisk { disk, images: vec![image] }),
        }
    }
    Ok(disks)
}

fn read_catalog(repo: &IndexedRepository, control: Control<'_>) -> Result<Catalog, OperationError> {
    let catalog = Catalog::read(repo)?;
    for (id, error) in &catalog.damaged {
        let id = id.short();
        control.warn(format!("image {id} stays: {error}; 'lifeboat forget {id}' removes it"));
    }
    Ok(catalog)
}

fn all(
    repo: &IndexedRepository,
    control: Control<'_>,
) -> Result<Vec<ForgottenDisk>, OperationError> {
    let catalog = read_catalog(repo, control)?;
    Ok(catalog.disks().iter().map(|disk| entry(disk, &BTreeMap::new())).collect())
}

fn by_rules(
    repo: &IndexedRepository,
    rules: &Rules,
    control: Control<'_>,
) -> Result<Vec<ForgottenDisk>, OperationError> {
    let catalog = read_catalog(repo, control)?;
    let mut disks = catalog.disks();
    if let Some(name) = &rules.disk {
        let disk = latest::disk_called(name, &disks)?;
        disks = vec![disk];
    }
    Ok(disks.iter().map(|disk| entry(disk, &kept(disk, rules, control))).collect())
}

/// The images of one disk that stay, and why.
fn kept(disk: &[&Listed], rules: &Rules, control: Control<'_>) -> BTreeMap<Id, Vec<KeptAs>> {
    let mut kept = BTreeMap::new();
    let mut classes: BTreeMap<_, Vec<SnapshotFile>> = BTreeMap::new();
    for image in disk {
        if let Some(problem) = &image.summary.incomplete {
            kept.insert(image.file.id, vec![KeptAs::Incomplete]);
            let (name, id) = (image.name(), image.summary.short_id());
            control.warn(format!(
                "{name} is incomplete and stays: {problem}; 'lifeboat forget {id}' removes it"
            ));
            continue;
        }
        // An image that holds less never pushes out one that holds more.
        let lacks = (&image.summary.only_partitions, image.summary.missing_sectors > 0);
        classes.entry(lacks).or_default().push(image.file.clone());
    }
    if let Some(warning) = clock_warning(disk) {
        control.warn(warning);
    }
    for files in classes.into_values() {
        let last = order::stored_last(files.iter()).map(|file| file.id);
        for Choice { file, mut kept_as } in rules.keep.apply(files) {
            let tags = &file.snapshot.tags;
            if rules.tags.iter().any(|wanted| tags.contains(&wanted.to_string())) {
                kept_as.push(KeptAs::Tag);
            }
            if kept_as.is_empty() && Some(file.id) == last && !rules.stored_last_too {
                control.warn(format!(
                    "image {} stays: it was stored last; --yes lets the rules remove it",
                    file.id.short()
                ));
                kept_as.push(KeptAs::StoredLast);
            }
            kept.insert(file.id, kept_as);
        }
    }
    kept
}

/// The report of one disk; what is not in `kept` goes.
fn entry(disk: &[&Listed], kept: &BTreeMap<Id, Vec<KeptAs>>) -> ForgottenDisk {
    let image = |image: &&Listed| ForgottenImage {
        id: image.summary.id.clone(),
        time: image.summary.time.clone(),
        kept_as: kept.get(&image.file.id).cloned().unwrap_or_default(),
        marks: image.summary.marks(),
    };
    let name = disk.first().map(|image| folder_of(&image.file.snapshot)).unwrap_or_default();
    ForgottenDisk { disk: name, images: disk.iter().map(image).collect() }
}
