//! What is done with images that are there.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::{
    BrowseRequest, ForgetRequest, ImagePlace, KeepRules, MountRequest, RepoAccess, Rules, Tag,
    Unwanted, Within,
};

use super::boot::BootTestArgs;
use super::open::LayerArgs;
use super::repository::{RepoArgs, WorkArgs};
use super::upkeep::UnusedArgs;
use super::values::at_least_one;

/// An image as it was named, `latest` with the disk that was named besides.
pub(super) fn reference(image: &str, disk: Option<&str>) -> String {
    match disk {
        Some(disk) if image == "latest" => format!("latest:{disk}"),
        _ => image.to_owned(),
    }
}

/// The repository that an image is in, and whose image `latest` is.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromArgs {
    /// Which disk `latest` is of: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
}

impl FromArgs {
    /// An image as it was named, in one word.
    pub(super) fn reference(&self, image: &str) -> String {
        reference(image, self.disk.as_deref())
    }

    /// A place in an image as it was named.
    pub(super) fn place(&self, place: &str) -> ImagePlace {
        let Ok(place) = place.parse::<ImagePlace>();
        ImagePlace { image: self.reference(&place.image), ..place }
    }

    /// What is asked of the operations about a place in an image.
    fn browse(&self, place: &str, repo: RepoAccess) -> BrowseRequest {
        BrowseRequest { place: self.place(place), repo }
    }
}

/// Where listed files come from, and how much is told of them.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListArgs {
    /// Mode, owner, size and time besides the names.
    #[arg(long, short = 'l')]
    #[serde(default)]
    pub long: bool,
    /// The repository, and whose image.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
}

/// Arguments of `images`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagesArgs {
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
    /// One JSON document instead of a table.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The repository, and whose image.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
    /// One JSON document instead of text.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl ShowArgs {
    /// The image that is meant, in one word.
    pub fn reference(&self) -> String {
        self.from.reference(&self.image)
    }
}

/// Arguments of `mount`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// An empty folder to show its files in.
    #[arg(value_name = "DIR")]
    #[serde(with = "os_text")]
    pub dir: PathBuf,
    /// Whether they can be written.
    #[command(flatten)]
    #[serde(flatten)]
    pub layer: LayerArgs,
    /// The repository, and whose image.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
}

impl MountArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> MountRequest {
        let image = self.from.reference(&self.image);
        MountRequest { image, repo, dir: self.dir.clone(), layer: self.layer.layer() }
    }
}

/// Arguments of `ls`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsArgs {
    /// IMAGE for its volumes, IMAGE:VOLUME for the files in a volume's root, IMAGE:VOLUME/PATH for those
    /// in a folder. The image by the start of its id or `latest`; the volume by the number of its
    /// partition, or as `lifeboat mount` shows it.
    #[arg(value_name = "IMAGE[:VOLUME[/PATH]]")]
    pub place: String,
    /// The repository, whose image, and how much is told.
    #[command(flatten)]
    #[serde(flatten)]
    pub listed: ListArgs,
    /// One JSON document instead of text.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl LsArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> BrowseRequest {
        self.listed.from.browse(&self.place, repo)
    }
}

/// Arguments of `copy`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyArgs {
    /// The file or folder, as for `ls`.
    #[arg(value_name = "IMAGE:VOLUME[/PATH]")]
    pub place: String,
    /// A folder to copy it into, or the name that it gets; nothing is overwritten.
    #[arg(value_name = "DEST")]
    #[serde(with = "os_text")]
    pub to: PathBuf,
    /// The repository, and whose image.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl CopyArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> BrowseRequest {
        self.from.browse(&self.place, repo)
    }
}

/// Arguments of `find`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[command(mut_arg("disk", |arg| arg.value_name("DISK")))]
pub struct FindArgs {
    /// Where to look: IMAGE for all of its volumes, IMAGE:VOLUME, or IMAGE:VOLUME/PATH, as for `ls`.
    #[arg(value_name = "IMAGE[:VOLUME[/PATH]]")]
    pub place: String,
    /// A part of the name; with `*` (anything) or `?` (one character) all of it. The case of ASCII
    /// letters does not count.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The repository, whose image, and how much is told.
    #[command(flatten)]
    #[serde(flatten)]
    pub listed: ListArgs,
    /// One JSON object a line instead of text.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl FindArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> BrowseRequest {
        self.listed.from.browse(&self.place, repo)
    }
}

/// Arguments of `verify`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk; the whole
    /// repository when absent.
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Which disk `latest` is of: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME", requires = "image")]
    pub disk: Option<String>,
    /// Whether it is started, and in what.
    #[command(flatten)]
    #[serde(flatten)]
    pub boot: BootTestArgs,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}

impl VerifyArgs {
    /// The image that is meant, in one word; `None` for all.
    pub fn reference(&self) -> Option<String> {
        self.image.as_deref().map(|image| reference(image, self.disk.as_deref()))
    }
}

/// Arguments of `forget`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[command(group(ArgGroup::new("unwanted").required(true).multiple(true)))]
pub struct ForgetArgs {
    /// The images: the starts of their ids, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE", group = "unwanted", conflicts_with_all = ["all", "rules"])]
    #[serde(default)]
    pub images: Vec<String>,
    /// Which disk rules and `latest` are for: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub disk: Option<String>,
    /// Ask nothing: with --all forget everything; let rules also remove the image of a disk that was
    /// stored last, when a wrong clock makes others look newer.
    #[arg(long, conflicts_with = "images")]
    #[serde(default)]
    pub yes: bool,
    /// Forget every image of every disk: a person at a terminal is asked, and otherwise --yes is needed.
    #[arg(long, group = "unwanted", conflicts_with = "rules")]
    #[serde(default)]
    pub all: bool,
    /// What to keep.
    #[command(flatten)]
    #[serde(flatten)]
    pub keep: KeepArgs,
    /// Only print what would be forgotten.
    #[arg(long, short = 'n', visible_alias = "plan")]
    #[serde(default)]
    pub dry_run: bool,
    /// Free the space that is then unused, as `lifeboat prune` does.
    #[arg(long)]
    #[serde(default)]
    pub prune: bool,
    /// How much to free.
    #[command(flatten)]
    #[serde(flatten)]
    pub unused: UnusedArgs,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}

impl ForgetArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> ForgetRequest {
        ForgetRequest {
            repo,
            unwanted: self.unwanted(),
            dry_run: self.dry_run,
            prune: self.prune.then_some(self.unused.max_unused),
        }
    }

    fn unwanted(&self) -> Unwanted {
        match (self.all, self.images.is_empty()) {
            (true, _) => Unwanted::All,
            (false, false) => {
                let named = self.images.iter().map(|image| reference(image, self.disk.as_deref()));
                Unwanted::Named(named.collect())
            }
            (false, true) => Unwanted::AllBut(Rules {
                keep: self.keep.rules(),
                tags: self.keep.keep_tag.clone(),
                disk: self.disk.clone(),
                stored_last_too: self.yes,
            }),
        }
    }
}

/// Keep rules.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[group(id = "rules", multiple = true)]
pub struct KeepArgs {
    /// Keep the N newest images of each disk.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_last: Option<u32>,
    /// Keep the newest image of each of the last N hours that have any.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_hourly: Option<u32>,
    /// Keep the newest image of each of the last N days that have any.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_daily: Option<u32>,
    /// Keep the newest image of each of the last N weeks that have any.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_weekly: Option<u32>,
    /// Keep the newest image of each of the last N months that have any.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_monthly: Option<u32>,
    /// Keep the newest image of each of the last N years that have any.
    #[arg(long, value_name = "N", group = "unwanted", value_parser = at_least_one())]
    pub keep_yearly: Option<u32>,
    /// Keep all images that are no older than the newest of the disk by this time: years, months, days and
    /// hours, such as 30d or 1y6m.
    #[arg(long, value_name = "TIME", group = "unwanted")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_within: Option<Within>,
    /// Keep all images with this tag; once for each.
    #[arg(long, value_name = "TAG", group = "unwanted")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_tag: Vec<Tag>,
}

impl KeepArgs {
    /// The rules that they are.
    pub fn rules(&self) -> KeepRules {
        KeepRules {
            last: self.keep_last.unwrap_or(0),
            hourly: self.keep_hourly.unwrap_or(0),
            daily: self.keep_daily.unwrap_or(0),
            weekly: self.keep_weekly.unwrap_or(0),
            monthly: self.keep_monthly.unwrap_or(0),
            yearly: self.keep_yearly.unwrap_or(0),
            within: self.keep_within,
        }
    }
}
