//! The disk that is read: arguments of `capture` and `clone`.

use std::path::PathBuf;

use clap::Args;

use crate::console;
use crate::operation::format::size;
use crate::operation::{RescueOptions, SourcePlan, SourceRequest};

use super::args::parse_sector_size;
use super::unlock;

/// What of which disk is read, and how.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// The disk to read: a block device or an image file.
    #[arg(value_name = "DISK")]
    pub source: PathBuf,
    /// Partition numbers; all when absent. The table always comes along.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub partitions: Option<Vec<u32>>,
    /// Read an image file although a running machine or another program has it open for writing, or
    /// a device that something out of sight holds, such as a mount in another mount namespace. What is
    /// written meanwhile leaves what is read as after a power cut, or worse.
    #[arg(long)]
    pub in_use: bool,
    /// Take every byte, not only the blocks in use.
    #[arg(long)]
    pub whole: bool,
    /// Leave out what lies outside of all partitions, but for 64 MiB at the start of the disk and
    /// 1 MiB at both ends of every other such stretch. Without this it is read, which takes long on
    /// a large disk, and what is not zero is taken.
    #[arg(long, conflicts_with = "whole")]
    pub skip_unpartitioned: bool,
    /// Of an NTFS that was not closed (marked dirty, hibernated, or shut down by Fast Startup) take
    /// what its tables call used, instead of every byte. What Windows had not written to them yet
    /// is missing then; `chkdsk` mends the rest. Where the tables contradict its files, every byte
    /// is taken all the same.
    #[arg(long, conflicts_with = "whole")]
    pub trust_unclosed: bool,
    /// Open LUKS containers and BitLocker volumes and take of them what is used, still encrypted:
    /// writing it to a disk needs no passphrase. N: the partitions that are encrypted, or hold what
    /// is in logical volumes or as members of a mirror; all when absent. The passphrase, for BitLocker
    /// the password or recovery key, is asked for.
    #[arg(long, value_name = "N,…", value_delimiter = ',', num_args = 0.., require_equals = true)]
    pub unlock: Option<Vec<u32>>,
    /// File with the passphrase for --unlock in its only line; any other content is the key itself.
    #[arg(long, value_name = "FILE", requires = "unlock")]
    pub unlock_file: Option<PathBuf>,
    /// How often sectors that cannot be read are tried again, after everything else was read.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub retries: u32,
    /// Keep a map of what was read in FILE, in the format of GNU ddrescue. If it exists, places
    /// that were bad in an earlier run are tried last. That it cannot be written does not end the
    /// work.
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Logical sector size of an image file that is read, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
}

impl SourceArgs {
    /// What is asked of the operations; asks for the passphrases of what is to be unlocked.
    pub(super) fn request(&self) -> anyhow::Result<SourceRequest> {
        Ok(SourceRequest {
            disk: self.source.clone(),
            sector_size: self.sector_size,
            partitions: self.partitions.clone(),
            whole: self.whole,
            skip_unpartitioned: self.skip_unpartitioned,
            keys: unlock::keys(self)?,
            trusts_unclosed: self.trust_unclosed,
            rescue: RescueOptions { retries: self.retries, map_file: self.map.clone() },
            in_use: self.in_use,
        })
    }
}

/// What is read, as the start of a plan; `work` is what is done with it.
pub(super) fn plan_head(work: &str, plan: &SourcePlan) -> String {
    format!(
        "{work} of {} ({}, {})\nreads {}, leaves out {} that nothing uses",
        plan.disk.identity(),
        console::path(&plan.disk.path),
        size(plan.disk.size),
        size(plan.read),
        size(plan.unused),
    )
}
