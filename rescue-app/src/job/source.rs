//! Capturing, and the disk that is read for it or for a clone.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::image::chunks::ChunkSize;
use crate::image::left_out::Excluded;
use crate::operation::{
    CaptureRequest, Compression, Keys, Label, Reading, RepoAccess, RescueOptions, SourceRequest,
    Tag,
};

use super::repository::RepoArgs;
use super::values::{Numbers, parse_chunk_size, parse_numbers, parse_sector_size};

/// What of which disk is read, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceArgs {
    /// The disk to read: a block device or an image file; that may be one of a virtual machine (qcow2, VHD, VHDX,
    /// VMDK, VDI), packed (gz, xz, zst, bz2, lz4) or of partclone. Or a folder that Clonezilla made; FOLDER/sda is one of
    /// several disks in it.
    #[arg(value_name = "DISK")]
    #[serde(with = "os_text")]
    pub source: PathBuf,
    /// Partition numbers and ranges such as 1-3,5; all when absent. The table always comes along.
    #[arg(long, value_name = "N,…", value_parser = parse_numbers)]
    pub partitions: Option<Numbers>,
    /// Read an image file although a running machine or another program has it open for writing, or
    /// a device that something out of sight holds, such as a mount in another mount namespace. What is
    /// written meanwhile leaves what is read as after a power cut, or worse.
    #[arg(long)]
    #[serde(default)]
    pub in_use: bool,
    /// How much of it.
    #[command(flatten)]
    #[serde(flatten)]
    pub reading: Reading,
    /// Open LUKS containers and BitLocker volumes and take of them what is used, still encrypted:
    /// writing it to a disk needs no passphrase. N: the partitions that are encrypted, or hold what
    /// is in logical volumes or as members of a mirror; all when absent. The passphrase, for BitLocker
    /// the password or recovery key, is asked for.
    #[arg(
        long, value_name = "N,…", value_parser = parse_numbers, num_args = 0..=1, require_equals = true,
        default_missing_value = ""
    )]
    pub unlock: Option<Numbers>,
    /// File with the passphrase for --unlock in its only line; any other content is the key itself.
    #[arg(long, value_name = "FILE", requires = "unlock")]
    #[serde(default, with = "os_text::option")]
    pub unlock_file: Option<PathBuf>,
    /// How often sectors that cannot be read are tried again, after everything else was read.
    #[arg(long, value_name = "N", default_value_t = RescueOptions::default().retries)]
    #[serde(default = "usual_retries")]
    pub retries: u32,
    /// Keep a map of what was read in FILE, in the format of GNU ddrescue. If it exists, places
    /// that were bad in an earlier run are tried last. That it cannot be written does not end the
    /// work.
    #[arg(long, value_name = "FILE")]
    #[serde(default, with = "os_text::option")]
    pub map: Option<PathBuf>,
    /// Logical sector size of an image file that is read, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
}

/// Its text among the arguments is not that of the usual one.
fn is_usual(size: &ChunkSize) -> bool {
    *size == ChunkSize::default()
}

fn usual_retries() -> u32 {
    RescueOptions::default().retries
}

impl SourceArgs {
    /// What of all of the disk at `path` is used.
    pub fn all_of(path: impl Into<PathBuf>) -> Self {
        Self {
            source: path.into(),
            partitions: None,
            in_use: false,
            reading: Reading::default(),
            unlock: None,
            unlock_file: None,
            retries: usual_retries(),
            map: None,
            sector_size: None,
        }
    }

    /// What is asked of the operations, with the `keys` of what was unlocked.
    pub(super) fn request(&self, keys: Keys) -> SourceRequest {
        SourceRequest {
            disk: self.source.clone(),
            sector_size: self.sector_size,
            partitions: self.partitions.clone(),
            reading: self.reading,
            keys,
            rescue: RescueOptions { retries: self.retries, map_file: self.map.clone() },
            in_use: self.in_use,
            skip_swap_files: false,
            excluded: Vec::new(),
            scratch: None,
        }
    }
}

/// Arguments of `capture`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureArgs {
    /// The disk.
    #[command(flatten)]
    #[serde(flatten)]
    pub source: SourceArgs,
    /// The repository to store it in.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
    /// How hard to compress.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub level: Compression,
    /// What the disk is cut into: a power of two from 4K to 16M. Smaller chunks add less when a
    /// disk is captured again, larger ones compress better; keep to one for all images of a disk.
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = parse_chunk_size)]
    #[serde(default, skip_serializing_if = "is_usual")]
    pub chunk_size: ChunkSize,
    /// Keep the map of what was read beside the images, under the disk's name.
    #[arg(long, conflicts_with = "map")]
    #[serde(default)]
    pub keep_map: bool,
    /// Store page, swap and hibernation files (pagefile.sys, swapfile.sys, hiberfil.sys, /swapfile, …)
    /// whole. Without this only their beginnings are: systems make the rest anew.
    #[arg(long)]
    #[serde(default)]
    pub keep_swap_files: bool,
    /// Leave out the content of a file, or of all files in a folder: the number of its partition, then its
    /// path, such as `3/home/anna/films`; once for each. The files stay in their folders, and what
    /// they held reads as zeros after a restore. For NTFS and ext2/3/4.
    #[arg(long, value_name = "N/PATH")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Excluded>,
    /// Where a file or folder that holds the disk packed is unpacked before it is read: a folder with room for
    /// what is used of the disk. The repository's own when absent.
    #[arg(long, value_name = "DIR")]
    #[serde(default, with = "os_text::option", skip_serializing_if = "Option::is_none")]
    pub scratch: Option<PathBuf>,
    /// A word to find the image by, for `forget --keep-tag` and restic; once for each.
    #[arg(long, value_name = "TAG")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<Tag>,
    /// What people are to know of the image; `images` and `show` tell it.
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Afterwards read back all data of the image, also what the repository held before.
    #[arg(long)]
    #[serde(default)]
    pub verify_all: bool,
    /// On the boot medium: store it in the machine's memory, where it is gone at power-off.
    #[arg(long)]
    #[serde(default)]
    pub in_memory: bool,
    /// Print what would be read and how much space it takes, and store nothing.
    #[arg(long, visible_alias = "dry-run", short_alias = 'n')]
    #[serde(default)]
    pub plan: bool,
    /// One JSON object a line, for programs.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl CaptureArgs {
    /// What is asked of the operations, with the `keys` of what was unlocked.
    pub fn request(&self, keys: Keys, repo: RepoAccess) -> CaptureRequest {
        CaptureRequest {
            source: SourceRequest {
                skip_swap_files: !self.keep_swap_files,
                excluded: self.exclude.clone(),
                scratch: self.scratch.clone(),
                ..self.source.request(keys)
            },
            repo,
            compression: self.level,
            chunk_size: self.chunk_size,
            keep_map: self.keep_map,
            verify_all: self.verify_all,
            label: Label { tags: self.tag.clone(), note: self.note.clone() },
            in_memory: self.in_memory,
        }
    }

    /// What of all of the disk at `path` is used, into the repository at `location`.
    pub fn all_of(path: impl Into<PathBuf>, repo: RepoArgs) -> Self {
        Self {
            source: SourceArgs::all_of(path),
            repo,
            level: Compression::default(),
            chunk_size: ChunkSize::default(),
            keep_map: false,
            keep_swap_files: false,
            exclude: Vec::new(),
            scratch: None,
            tag: Vec::new(),
            note: None,
            verify_all: false,
            in_memory: false,
            plan: false,
            json: false,
        }
    }
}
