//! What a restore will write, decided and checked before it writes anything.

use std::sync::Arc;

use serde::Serialize;

use crate::image::content::Placed;
use crate::image::marker::Marker;
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::operation::access::RepoAccess;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::guard;
use crate::operation::images::ImageSummary;
use crate::operation::target::{Aim, Content, TargetPlan, TargetRequest};
use crate::transfer::{ChunkTask, places, tasks};
use crate::virtual_disk::Format;

use super::sources::Sources;
use super::volume::{self, FoundVolume};

/// A restore as it was asked for.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// Start of the image's id, or `latest`.
    pub image: String,
    /// Where the image is.
    pub repo: RepoAccess,
    /// Where it goes.
    pub target: TargetRequest,
    /// What of it.
    pub what: What,
    /// Read and prove all that is needed of the image before the first write.
    pub verify_first: bool,
}

/// What of an image is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The whole disk.
    Disk,
    /// Partitions, by their numbers.
    Partitions(Vec<u32>),
    /// One logical volume, to the start of the target.
    Volume {
        /// `group/name`.
        name: String,
        /// The images of other disks that it lies on besides.
        with: With,
    },
}

impl What {
    fn partitions(&self) -> Option<&[u32]> {
        match self {
            Self::Partitions(numbers) => Some(numbers),
            Self::Disk | Self::Volume { .. } => None,
        }
    }
}

/// Images of other disks that a logical volume lies on besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum With {
    /// Those whose ids start so.
    Named(Vec<String>),
    /// Those that the volume needs, as far as the repository has any that fit.
    Searched,
}

/// What a restore will do.
#[derive(Clone, Debug, Serialize)]
pub struct RestorePlan {
    /// The image.
    pub image: ImageSummary,
    /// The images of other disks that are taken along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<ImageSummary>,
    /// What is done to the target.
    #[serde(flatten)]
    pub onto: TargetPlan,
    /// What was opened for it.
    #[serde(skip)]
    pub(super) sources: Arc<Sources>,
    /// Where each chunk lies in the images.
    #[serde(skip)]
    pub(super) placed: Arc<[Placed]>,
}

/// Says what a restore would do, after checking every rule that could forbid it. Packs that are missing
/// or cut short do not count: of a piece that is stored several times, another copy is taken.
///
/// # Errors
/// Refuses what the rules forbid; otherwise any failure to read the repository or the target.
pub fn plan_restore(request: &RestoreRequest) -> Result<RestorePlan, OperationError> {
    let repo = Arc::new(request.repo.open()?.load_index()?);
    let sources = Sources::find(repo, request)?;
    let placed = sources.placed()?;
    plan(request, sources, placed.into())
}

/// A restore that starts must be able to finish: nothing is wiped for an image of which a piece is
/// gone.
pub(super) fn refuse_incomplete(
    sources: &Sources,
    tasks: &[ChunkTask<'_>],
) -> Result<(), OperationError> {
    let repo = &sources.repo;
    repo.distrust_bad_packs(&repo.packs_with_sizes()?);
    let is_gone = |task: &&ChunkTask<'_>| repo.blob(task.id()).is_none();
    let lacking: Vec<ChunkTask<'_>> = tasks.iter().filter(is_gone).copied().collect();
    let Some(first) = lacking.first() else { return Ok(()) };
    let why = format!("the first of them {}, are in no pack that is there whole", first.id());
    Err(incomplete(&sources.image, &lacking, &why))
}

/// The refusal of an image of which these pieces are gone, before anything was written.
pub(super) fn incomplete(
    image: &OpenImage,
    lacking: &[ChunkTask<'_>],
    why: &str,
) -> OperationError {
    let bytes: u64 = lacking.iter().map(ChunkTask::bytes).sum();
    OperationError::refused(
        format!(
            "image {} is not complete: {} pieces of it ({}), {why}; nothing was written to the \
             target",
            image.short_id(),
            lacking.len(),
            human(bytes),
        ),
        "choose another image, or capture the disk again if it still exists: that stores what is \
         lost anew, and this image is whole again as far as the disk still holds its bytes",
    )
}

fn plan(
    request: &RestoreRequest,
    sources: Sources,
    placed: Arc<[Placed]>,
) -> Result<RestorePlan, OperationError> {
    let image = &sources.image;
    let volume = match &request.what {
        What::Volume { name, with } => Some(volume::find(&sources, name, *with == With::Searched)?),
        What::Disk | What::Partitions(_) => None,
    };
    let disk = ImageReader::new(Arc::clone(&sources.repo), Arc::clone(&placed));
    let content = Content {
        manifest: &image.manifest,
        disk: &disk,
        partitions: request.what.partitions(),
        volume: volume.map(|FoundVolume { volume, transfers }| (volume, transfers)),
        images: request.repo.folder(),
        note: note(request, image),
        notices: sources.notices(),
    };
    let consent = request.target.erase.as_deref();
    let aim = Aim::take(&request.target, content, |target, words| {
        guard::target_is_expendable(target, words, request.repo.folder(), |target, words| {
            match request.target.format {
                Format::Raw => guard::disk_is_expendable(target, words, consent),
                _ => guard::file_is_expendable(target, words, consent),
            }
        })
    })?;
    refuse_incomplete(&sources, &tasks(&places(&placed, &aim.needed())))?;
    Ok(RestorePlan {
        image: ImageSummary::of(image),
        with: sources.with.iter().map(ImageSummary::of).collect(),
        onto: aim.plan()?,
        sources: Arc::new(sources),
        placed,
    })
}

/// The note that this restore leaves on its target until it has finished.
fn note(request: &RestoreRequest, image: &OpenImage) -> Marker {
    let volume = match &request.what {
        What::Volume { name, .. } => Some(name.clone()),
        What::Disk | What::Partitions(_) => None,
    };
    Marker {
        image: image.id.to_string(),
        disk: image.manifest.disk.name(),
        partitions: request.what.partitions().map(<[u32]>::to_vec),
        volume,
        ..Marker::default()
    }
}
