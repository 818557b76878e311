//! The arguments of `lifeboat`; the doc comments here are its manual.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::image::chunks::ChunkSize;
use crate::operation::{Compression, PlaceFilesystem};

use super::source::SourceArgs;
use super::target::TargetArgs;

/// Captures, restores and verifies whole disks. Without a command it opens the menu.
///
/// Images live in a repository: a folder in restic's format, which stock restic lists, checks
/// and restores too. A disk is read, never written, while it is captured; a disk that is to be
/// overwritten has to be named by its serial number.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, max_term_width = 100, help_expected = true)]
#[command(after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do; the menu when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit status:
  0    done, and proven: what was stored or written was read back and compared
  1    failed; the message names the cause and the next step
  2    the arguments are wrong; nothing was touched
  3    done, but something needs attention: sectors that could not be read when the disk was
       captured are missing (of capture, verify and restore), a restored table has partitions that
       are not in the image, or tidying up left something; damage that is found in a repository is 1
  4    refused before anything was written (mounted, boot medium, wrong disk, too small, …)
  5    the place of the repository is full; with space made, the same command carries on
  130  stopped by Ctrl-C or SIGTERM; running the same command again carries on

Environment:
  LIFEBOAT_REPO        repository used when --repo is not given
  LIFEBOAT_PASSPHRASE  passphrase of the repository
  NO_COLOR             the menu uses no colours";

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the disks of this machine: what they are, what is on them, what uses them.
    Disks(DisksArgs),
    /// Creates a repository for images in a folder.
    Init(InitArgs),
    /// Captures a disk, or chosen partitions of it, into a repository.
    ///
    /// Only blocks in use are stored, and of those only what the repository does not hold yet:
    /// every further image of a disk costs what changed. An interrupted capture is continued by
    /// running it again. What was stored is read back and checked before the image counts.
    Capture(CaptureArgs),
    /// Lists the images in a repository, newest first.
    Images(ImagesArgs),
    /// Shows what an image holds: its disk, partitions and warnings.
    Show(ShowArgs),
    /// Writes a disk, or chosen partitions of it, to another one, without an image in between.
    ///
    /// Reads what `capture` reads, skips what nothing uses, and treats sectors that cannot be read as
    /// it does; writes as `restore` does, with the same plan, the same consent in --erase, and everything
    /// read back and compared. A clone that stopped is completed by running it again.
    Clone(CloneArgs),
    /// Writes an image, or chosen partitions of it, to a disk.
    ///
    /// The plan is printed before anything is written. The target has to be named twice: as
    /// DISK and, by its serial number, WWN or (for a file) path, in --erase; a disk that tells
    /// neither number is named by the word that --plan ends with, made of its size and its table's
    /// id. What is opened for writing has to be what the plan was made for. The first mebibyte is
    /// written last, so that a half-restored disk never looks whole, and everything written
    /// is read back from the disk and compared.
    Restore(RestoreArgs),
    /// Reads an image, or the whole repository, and checks every hash.
    ///
    /// Answers whether images can be restored. `lifeboat check` answers whether the repository is
    /// in order, and is quick.
    Verify(VerifyArgs),
    /// Removes images from the list: named ones, or all that no keep rule keeps.
    ///
    /// Rules work for each disk by itself. A rule such as `--keep-daily 7` keeps the newest image
    /// of each of the last seven days that have any; what any rule keeps stays. Days are those
    /// of the clock the image was made by. Images that hold only some partitions, or lack sectors,
    /// count apart and never push out whole ones. Snapshots of other programs are left alone unless
    /// they are named. `lifeboat prune` frees what no remaining image uses.
    Forget(ForgetArgs),
    /// Frees the space that no image uses any more.
    ///
    /// Whatever an interrupted capture has stored is given up too. Interrupting it harms no
    /// image; running it again completes it. Nobody else can use the repository meanwhile.
    Prune(PruneArgs),
    /// Checks the repository's structure: that all files are there and fit together.
    ///
    /// Finds missing and cut packs, damaged index files, snapshots and directories, and images
    /// that lack something, without reading the data themselves; `--read-data` reads them too.
    Check(CheckArgs),
    /// Repairs a damaged repository as far as what is left allows.
    Repair(RepairArgs),
    /// Removes locks that were left behind.
    ///
    /// Locks older than 30 minutes, and those of this machine whose process is gone, are removed by
    /// every command anyway. `--all` is for locks of a machine that is certainly gone.
    Unlock(UnlockArgs),
    /// Erases a disk and makes it a place for images: one partition with an empty filesystem.
    ///
    /// The disk has to be named twice, as for a restore: as DISK and, by its serial number, WWN,
    /// (for a file) path or the word that --plan ends with, in --erase. A disk that is in use, or that Lifeboat was started from, is
    /// refused.
    Prepare(PrepareArgs),
    /// Prints the script that completes commands and options in a shell.
    ///
    /// For bash: `lifeboat completions bash > /usr/share/bash-completion/completions/lifeboat`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder: lifeboat.1, and one for each command.
    Man {
        /// A folder that is there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Start-up of the boot medium; its init calls this.
    #[command(hide = true)]
    Boot,
}

/// Where images are and how they are opened.
#[derive(Args, Clone, Debug)]
pub struct RepoArgs {
    /// Folder of the repository.
    #[arg(long, value_name = "DIR", env = "LIFEBOAT_REPO")]
    pub repo: PathBuf,
    /// File with the passphrase, read as restic does: a byte order mark and blanks or line ends
    /// around the passphrase do not count.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `disks`.
#[derive(Args, Debug)]
pub struct DisksArgs {
    /// One JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The repository to create.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// Create it without a passphrase of its own: anyone who has the folder can read the images.
    #[arg(long)]
    pub no_passphrase: bool,
    /// On the boot medium: create it in the machine's memory, where it is gone at power-off.
    #[arg(long)]
    pub in_memory: bool,
}

/// Arguments of `capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// The disk.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The repository to store it in.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// How hard to compress.
    #[arg(long, value_enum, default_value_t)]
    pub level: Compression,
    /// What the disk is cut into: a power of two from 4K to 16M. Smaller chunks add less when a
    /// disk is captured again, larger ones compress better; keep to one for all images of a disk.
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = parse_chunk_size)]
    pub chunk_size: ChunkSize,
    /// Afterwards read back all data of the image, also what the repository held before.
    #[arg(long)]
    pub verify_all: bool,
    /// On the boot medium: store it in the machine's memory, where it is gone at power-off.
    #[arg(long)]
    pub in_memory: bool,
    /// Print what would be read and how much space it takes, and store nothing.
    #[arg(long)]
    pub plan: bool,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `clone`.
#[derive(Args, Debug)]
#[command(mut_arg("source", |arg| arg.value_name("SOURCE")))]
#[command(mut_arg("target", |arg| arg.value_name("TARGET")))]
pub struct CloneArgs {
    /// The disk to clone.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The disk to overwrite.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Write a damaged copy of the GPT anew from the other one. Without this a target of the same
    /// size gets the same bytes as the source has.
    #[arg(long, conflicts_with = "partitions")]
    pub mend_table: bool,
    /// Print the plan and write nothing.
    #[arg(long)]
    pub plan: bool,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `images`.
#[derive(Args, Debug)]
pub struct ImagesArgs {
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Which disk `latest` is of: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `restore`.
#[derive(Args, Debug)]
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
    pub target: TargetArgs,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// Partition numbers to restore; the whole disk when absent.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub partitions: Option<Vec<u32>>,
    /// One logical volume to restore, as `show` lists it, to the start of DISK: a disk, a logical
    /// volume that is at least as large, or a file.
    #[arg(long, value_name = "GROUP/NAME", conflicts_with = "partitions")]
    pub volume: Option<String>,
    /// Image of another disk that the logical volume lies on besides; once for each.
    #[arg(long, value_name = "IMAGE", requires = "volume")]
    pub with: Vec<String>,
    /// Read and prove all that is needed of the image before the first write. Without this only
    /// the lengths and headers of its files are looked at.
    #[arg(long)]
    pub verify_first: bool,
    /// Write a damaged copy of the GPT anew from the other one. Without this a target of the same
    /// size gets the same bytes as the disk that was captured had.
    #[arg(long, conflicts_with_all = ["partitions", "volume"])]
    pub mend_table: bool,
    /// Print the plan and write nothing.
    #[arg(long)]
    pub plan: bool,
    /// Logical sector size of an image file, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `prepare`.
#[derive(Args, Debug)]
pub struct PrepareArgs {
    /// The disk to erase: a block device or an image file.
    #[arg(value_name = "DISK")]
    pub disk: PathBuf,
    /// Serial number or WWN of DISK, the path of an image file, or the word that --plan ends with:
    /// the consent to erase it.
    #[arg(long, value_name = "SERIAL-OR-PATH", required_unless_present = "plan")]
    pub erase: Option<OsString>,
    /// The filesystem to make.
    #[arg(long, value_enum, default_value_t)]
    pub filesystem: PlaceFilesystem,
    /// Label of the filesystem: 16 bytes of ext4, 11 characters of exFAT. LIFEBOAT-DATA or LIFEBOAT
    /// when absent.
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Print what would be lost and made, and write nothing.
    #[arg(long)]
    pub plan: bool,
    /// Logical sector size of an image file, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = parse_sector_size)]
    pub sector_size: Option<u32>,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk; the whole
    /// repository when absent.
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Which disk `latest` is of: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME", requires = "image")]
    pub disk: Option<String>,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `forget`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("unwanted").required(true).multiple(true)))]
pub struct ForgetArgs {
    /// The images: the starts of their ids, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE", group = "unwanted", conflicts_with_all = ["all", "rules"])]
    pub images: Vec<String>,
    /// Which disk rules and `latest` are for: its serial number, or another name that is its own.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub disk: Option<String>,
    /// Let rules also remove the image of a disk that was stored last, when a wrong clock makes
    /// others look newer.
    #[arg(long, requires = "rules")]
    pub yes: bool,
    /// Forget every image of every disk.
    #[arg(long, group = "unwanted", conflicts_with = "rules")]
    pub all: bool,
    /// What to keep.
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Only print what would be forgotten.
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Free the space that is then unused, as `lifeboat prune` does.
    #[arg(long)]
    pub prune: bool,
    /// How much to free.
    #[command(flatten)]
    pub extent: ExtentArgs,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Only print what would be freed.
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// How much to free.
    #[command(flatten)]
    pub extent: ExtentArgs,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Read every byte of every pack too.
    #[arg(long)]
    pub read_data: bool,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `repair`.
#[derive(Args, Debug)]
pub struct RepairArgs {
    /// What to repair.
    #[command(subcommand)]
    pub target: RepairTarget,
}

/// What can be repaired.
#[derive(Debug, Subcommand)]
pub enum RepairTarget {
    /// Writes the index anew, from the lists that the packs contain.
    Index(RepairCommon),
    /// Reads all packs, saves what is good in damaged ones, and removes these.
    ///
    /// Afterwards nothing relies on a damaged copy any more: capturing a disk again stores anew what
    /// is lost and still on it, for all images that need it.
    Packs(RepairCommon),
}

/// Arguments of all repairs.
#[derive(Args, Debug)]
pub struct RepairCommon {
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `unlock`.
#[derive(Args, Debug)]
pub struct UnlockArgs {
    /// Remove all locks, also of those who seem to be at work.
    #[arg(long)]
    pub all: bool,
    /// The repository.
    #[command(flatten)]
    pub repo: RepoArgs,
}

/// How thorough pruning is.
#[derive(Args, Clone, Copy, Debug)]
pub struct ExtentArgs {
    /// Unused data that may stay in partly used packs, in percent of the used data; less means
    /// more copying.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    pub max_unused: u8,
}

/// Keep rules.
#[derive(Args, Clone, Debug)]
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
}

/// A rule that keeps nothing would be a way to lose everything by a slip.
fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

pub(super) fn parse_sector_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size @ (512 | 1024 | 2048 | 4096)) => Ok(size),
        _ => Err("a sector has 512, 1024, 2048 or 4096 bytes".to_owned()),
    }
}

fn parse_chunk_size(text: &str) -> Result<ChunkSize, String> {
    let size = ChunkSize::new(parse_size(text)?);
    size.ok_or_else(|| "a chunk has 4K, 8K, … or 16M bytes".to_owned())
}

/// A size in bytes, or with a binary unit: `512M`, `64G`, `2T`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; give bytes or a number with K, M, G or T");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("64G"), Ok(64 << 30));
        assert_eq!(parse_size("2TiB"), Ok(2 << 40));
        assert!(parse_size("G").is_err());
        assert!(parse_size("1X").is_err());
        assert!(parse_size("99999999999T").is_err());
    }
}
