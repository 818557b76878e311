//! Restoring and cloning, and the disk that is overwritten.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::{
    CloneRequest, Format, Keys, RepoAccess, RestoreRequest, SourceRequest, TargetRequest,
};

use super::choice::What;
use super::images::reference;
use super::repository::RepoArgs;
use super::sizes::SizeArgs;
use super::source::SourceArgs;
use super::values::{parse_sector_size, parse_size};

/// Which disk is overwritten, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetArgs {
    /// The disk to overwrite: a block device or an image file, which is created when missing.
    #[arg(value_name = "DISK")]
    #[serde(with = "os_text")]
    pub target: PathBuf,
    /// Serial number or WWN of the disk to overwrite, the path of an image file, or the word that
    /// --plan ends with: the consent to erase it. Without it a person at a terminal is shown the plan and
    /// asked; a file that does not exist yet needs none.
    #[arg(long, value_name = "SERIAL-OR-PATH")]
    #[serde(default, with = "os_text::option")]
    pub erase: Option<OsString>,
    /// Read the target first and write only what differs.
    #[arg(long)]
    #[serde(default)]
    pub only_changed: bool,
    /// Do not read the target back after writing.
    #[arg(long)]
    #[serde(default)]
    pub no_read_back: bool,
    /// Size of a new image file, such as `64G`; that of the disk, or logical volume, that is written
    /// to it when absent.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
    /// Add no boot entries to this computer's firmware.
    #[arg(long)]
    #[serde(default)]
    pub no_nvram: bool,
    /// Sizes of its partitions.
    #[command(flatten)]
    #[serde(flatten)]
    pub sizes: SizeArgs,
}

impl TargetArgs {
    /// All of the disk at `path`, with the consent `erase`, read back.
    pub fn all_of(path: impl Into<PathBuf>, erase: impl Into<OsString>) -> Self {
        Self {
            target: path.into(),
            erase: Some(erase.into()),
            only_changed: false,
            no_read_back: false,
            size: None,
            no_nvram: false,
            sizes: SizeArgs::default(),
        }
    }

    /// What is asked of the target.
    pub fn request(&self, sector_size: Option<u32>, mend_table: bool) -> TargetRequest {
        TargetRequest {
            disk: self.target.clone(),
            sector_size,
            size: self.size,
            erase: self.erase.as_ref().map(|name| name.to_string_lossy().into_owned()),
            format: Format::default(),
            replace: false,
            only_changed: self.only_changed,
            read_back: !self.no_read_back,
            mend_table,
            layout: self.sizes.wishes(),
            nvram: !self.no_nvram,
            scratch: self.sizes.scratch.clone(),
        }
    }
}

/// Arguments of `clone`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[command(mut_arg("source", |arg| arg.value_name("SOURCE")))]
#[command(mut_arg("target", |arg| arg.value_name("TARGET")))]
pub struct CloneArgs {
    /// The disk to clone.
    #[command(flatten)]
    #[serde(flatten)]
    pub source: SourceArgs,
    /// The disk to overwrite.
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetArgs,
    /// Write a damaged copy of the GPT anew from the other one. Without this a target of the same
    /// size gets the same bytes as the source has.
    #[arg(long, conflicts_with = "partitions")]
    #[serde(default)]
    pub mend_table: bool,
    /// Print the plan and write nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    #[serde(default)]
    pub plan: bool,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl CloneArgs {
    /// All of the disk at `source`, to `target`.
    pub fn all_of(source: impl Into<PathBuf>, target: TargetArgs) -> Self {
        let source = SourceArgs::all_of(source);
        Self { source, target, mend_table: false, plan: false, json: false }
    }

    /// What is asked of the operations, with the `keys` of what was unlocked.
    pub fn request(&self, keys: Keys) -> CloneRequest {
        CloneRequest {
            source: SourceRequest {
                scratch: self.target.sizes.scratch.clone(),
                ..self.source.request(keys)
            },
            target: self.target.request(None, self.mend_table),
        }
    }
}

/// Arguments of `restore`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Which disk `latest` is of: its serial number, or another name that is its own. Needed where
    /// the repository holds images of several disks and DISK exists.
    #[arg(long = "disk", value_name = "NAME")]
    pub of_disk: Option<String>,
    /// The disk to overwrite.
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetArgs,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
    /// What of it.
    #[command(flatten)]
    #[serde(flatten)]
    pub what: What,
    /// Read and prove all that is needed of the image before the first write. Without this only
    /// the lengths and headers of its files are looked at.
    #[arg(long)]
    #[serde(default)]
    pub verify_first: bool,
    /// Write a damaged copy of the GPT anew from the other one. Without this a target of the same
    /// size gets the same bytes as the disk that was captured had.
    #[arg(long, conflicts_with_all = ["partitions", "volume"])]
    #[serde(default)]
    pub mend_table: bool,
    /// Print the plan and write nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    #[serde(default)]
    pub plan: bool,
    /// How the file holds the disk: `raw`, byte by byte, or in a format of virtual machines, by which it is
    /// made as a whole; where it is said, in place of one that is there. Without this the ending of its name says it (.qcow2,
    /// .vhd, .vhdx, .vmdk, .vdi); all other files, and devices, get the plain disk.
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "only_changed")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Logical sector size of an image file, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl RestoreArgs {
    /// All of an image, to `target`.
    pub fn all_of(image: &str, repo: RepoArgs, target: TargetArgs) -> Self {
        Self {
            image: image.to_owned(),
            of_disk: None,
            target,
            repo,
            what: What::Disk,
            verify_first: false,
            mend_table: false,
            plan: false,
            format: None,
            sector_size: None,
            json: false,
        }
    }

    /// How the file holds the disk.
    fn format(&self) -> Format {
        let path = &self.target.target;
        let by_name = || Format::of_ending(path).filter(|_| !path.starts_with("/dev"));
        self.format.or_else(by_name).unwrap_or_default()
    }

    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> RestoreRequest {
        let target = self.target.request(self.sector_size, self.mend_table);
        RestoreRequest {
            image: reference(&self.image, self.of_disk.as_deref()),
            repo,
            target: TargetRequest {
                format: self.format(),
                replace: self.format.is_some(),
                ..target
            },
            what: self.what.request(false),
            verify_first: self.verify_first,
        }
    }
}
