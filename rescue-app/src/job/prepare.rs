//! What is done about disks and places before there is an image.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::{PlaceFilesystem, PrepareRequest, StickContent, StickRequest};

use super::repository::RepoArgs;
use super::values::parse_sector_size;

/// Arguments of `disks`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisksArgs {
    /// Only these: block devices or image files; all disks of this machine when absent.
    #[arg(value_name = "DISK")]
    #[serde(default, with = "os_text::list", skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<PathBuf>,
    /// Logical sector size of the image files, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size, requires = "disks")]
    pub sector_size: Option<u32>,
    /// One JSON document instead of a table.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

/// Arguments of `init`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitArgs {
    /// The repository to create, in place of --repo.
    #[arg(value_name = "DIR", conflicts_with = "repo")]
    #[serde(skip)]
    pub place: Option<OsString>,
    /// The repository to create.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
    /// Create it without a passphrase of its own: anyone who has the folder can read the images.
    #[arg(long)]
    #[serde(default)]
    pub no_passphrase: bool,
    /// On the boot medium: create it in the machine's memory, where it is gone at power-off.
    #[arg(long)]
    #[serde(default)]
    pub in_memory: bool,
}

/// Arguments of `prepare`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareArgs {
    /// The disk to erase: a block device or an image file.
    #[arg(value_name = "DISK")]
    #[serde(with = "os_text")]
    pub disk: PathBuf,
    /// Serial number or WWN of DISK, the path of an image file, or the word that --plan ends with:
    /// the consent to erase it.
    #[arg(long, value_name = "SERIAL-OR-PATH", required_unless_present = "plan")]
    #[serde(default, with = "os_text::option")]
    pub erase: Option<OsString>,
    /// The filesystem to make.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub filesystem: PlaceFilesystem,
    /// Label of the filesystem: 16 bytes of ext4, 11 characters of exFAT. LIFEBOAT-DATA or LIFEBOAT
    /// when absent.
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Print what would be lost and made, and write nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    #[serde(default)]
    pub plan: bool,
    /// Logical sector size of an image file, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl PrepareArgs {
    /// The disk at `path`, with the consent `erase`.
    pub fn all_of(path: impl Into<PathBuf>, erase: impl Into<OsString>) -> Self {
        Self {
            disk: path.into(),
            erase: Some(erase.into()),
            filesystem: PlaceFilesystem::default(),
            label: None,
            plan: false,
            sector_size: None,
            json: false,
        }
    }

    /// What is asked of the operations; nothing was agreed to yet.
    pub fn request(&self) -> PrepareRequest {
        PrepareRequest {
            disk: self.disk.clone(),
            sector_size: self.sector_size,
            erase: self.erase.as_ref().map(|name| name.to_string_lossy().into_owned()),
            agreed: None,
            filesystem: self.filesystem,
            label: self.label.clone(),
        }
    }
}

/// Arguments of `check-medium`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckMediumArgs {
    /// A stick, or an ISO file. The medium that Lifeboat was started from when absent.
    #[arg(value_name = "DISK-OR-FILE")]
    #[serde(default, with = "os_text::option")]
    pub medium: Option<PathBuf>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

/// Arguments of `make-stick`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickArgs {
    /// The disk to make a stick of: a block device or an image file.
    #[arg(value_name = "DISK")]
    #[serde(with = "os_text")]
    pub disk: PathBuf,
    /// Serial number or WWN of DISK, the path of an image file, or the word that --plan ends with:
    /// the consent to erase it.
    #[arg(long, value_name = "SERIAL-OR-PATH", required_unless_present = "plan")]
    #[serde(default, with = "os_text::option")]
    pub erase: Option<OsString>,
    /// The ISO to write. On the boot medium: a copy of the medium when absent.
    #[arg(long, value_name = "FILE")]
    #[serde(default, with = "os_text::option")]
    pub iso: Option<PathBuf>,
    /// DISK is a stick that an ISO was written to by other means: make its data partition, and leave
    /// the rest as it is.
    #[arg(long, conflicts_with = "iso")]
    #[serde(default)]
    pub data_only: bool,
    /// Make an empty data partition even where there is one: what is in it is lost.
    #[arg(long)]
    #[serde(default)]
    pub new_data: bool,
    /// Print what would be lost and made, and write nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    #[serde(default)]
    pub plan: bool,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl StickArgs {
    /// The disk at `path`, with the consent `erase`, as a copy of the running medium.
    pub fn copy_to(path: impl Into<PathBuf>, erase: impl Into<OsString>) -> Self {
        Self {
            disk: path.into(),
            erase: Some(erase.into()),
            iso: None,
            data_only: false,
            new_data: false,
            plan: false,
            json: false,
        }
    }

    /// What is asked of the operations; nothing was agreed to yet.
    pub fn request(&self) -> StickRequest {
        let content = match (&self.iso, self.data_only) {
            (_, true) => StickContent::Present,
            (Some(iso), false) => StickContent::Iso(iso.clone()),
            (None, false) => StickContent::Medium,
        };
        StickRequest {
            disk: self.disk.clone(),
            erase: self.erase.as_ref().map(|name| name.to_string_lossy().into_owned()),
            agreed: None,
            content,
            new_data: self.new_data,
        }
    }
}
