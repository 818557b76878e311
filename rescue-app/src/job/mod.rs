//! What can be asked of Lifeboat: one definition of each verb, for the command line, the menu and
//! runs without a person.
//!
//! A verb is a plain value: it parses from arguments, is written as JSON, and tells the command line
//! that asks for the same. Passphrases are no part of it, only where they are found.

mod args;
mod boot;
mod choice;
mod diff;
mod examples;
mod images;
mod key;
mod open;
mod prepare;
mod repository;
mod sizes;
mod source;
mod target;
mod upkeep;
mod values;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub use boot::{BootArgs, BootTestArgs, MachineArgs};
pub use choice::What;
pub use diff::DiffArgs;
pub use images::{
    CopyArgs, FindArgs, ForgetArgs, FromArgs, ImagesArgs, KeepArgs, ListArgs, LsArgs, MountArgs,
    ShowArgs, VerifyArgs,
};
pub use key::{KeyArgs, KeyVerb, NewKeyArgs, RemoveKeyArgs};
pub use open::{LayerArgs, ServeArgs};
pub use prepare::{CheckMediumArgs, DisksArgs, InitArgs, PrepareArgs, StickArgs};
pub use repository::{RepoArgs, WorkArgs};
pub use sizes::{SizeArgs, SizeOf};
pub use source::{CaptureArgs, SourceArgs};
pub use target::{CloneArgs, RestoreArgs, TargetArgs};
pub use upkeep::{CheckArgs, PruneArgs, RepairArgs, RepairTarget, UnlockArgs, UnusedArgs};
pub use values::parse_size;

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Lists the disks of this machine: what they are, what is on them, what uses them.
    #[command(after_help = examples::DISKS)]
    Disks(DisksArgs),
    /// Creates a repository for images in a folder.
    #[command(after_help = examples::INIT)]
    Init(InitArgs),
    /// Captures a disk, or chosen partitions of it, into a repository.
    ///
    /// Only blocks in use are stored, and of those only what the repository does not hold yet:
    /// every further image of a disk costs what changed. An interrupted capture is continued by
    /// running it again. What was stored is read back and checked before the image counts.
    #[command(visible_alias = "backup", after_help = examples::CAPTURE)]
    Capture(Box<CaptureArgs>),
    /// Lists the images in a repository, newest first.
    #[command(visible_aliases = ["list", "snapshots"], after_help = examples::IMAGES)]
    Images(ImagesArgs),
    /// Tells how much a repository holds, and what it takes.
    ///
    /// Chunks that several images share are stored once. Reads the index and what describes the images, no data; `lifeboat
    /// prune --dry-run` tells what no image uses any more.
    #[command(after_help = examples::STATS)]
    Stats(ImagesArgs),
    /// Shows what an image holds: its disk, partitions and warnings.
    #[command(after_help = examples::SHOW)]
    Show(ShowArgs),
    /// Writes a disk, or chosen partitions of it, to another one, without an image in between.
    ///
    /// Reads what `capture` reads, skips what nothing uses, and treats sectors that cannot be read as
    /// it does; writes as `restore` does, with the same plan, the same consent, and everything
    /// read back and compared. A clone that stopped is completed by running it again.
    #[command(after_help = examples::CLONE)]
    Clone(Box<CloneArgs>),
    /// Writes an image, or chosen partitions of it, to a disk.
    ///
    /// The plan is printed before anything is written. The target has to be named twice: as
    /// DISK and, by its serial number, WWN or (for a file) path, in --erase, or in answer to the question
    /// that a person at a terminal is asked; a disk that tells neither number is named by the word that
    /// --plan ends with, made of its size and its table's id. A file that does not exist yet needs no consent. What is opened for writing has to be what the plan was made for. The first mebibyte is
    /// written last, so that a half-restored disk never looks whole, and everything written
    /// is read back from the disk and compared.
    #[command(after_help = examples::RESTORE)]
    Restore(Box<RestoreArgs>),
    /// Shows an image as files in a folder, until Ctrl-C or `umount`.
    ///
    /// The folder holds the disk (disk.img), a file for each partition and logical volume
    /// (1-EFI-system.img, vg-home.img), and what is noted of them (manifest.json). All of them can be read
    /// and none written, unless --writable keeps apart what is; loop devices, filesystem tools and virtual
    /// machines work on them. What is encrypted is shown so. It needs FUSE.
    #[command(after_help = examples::MOUNT)]
    Mount(MountArgs),
    /// Serves images as network block devices (NBD), until Ctrl-C.
    ///
    /// Virtual machines, nbd-client, nbdcopy and qemu-img find the disk of the first image as the export
    /// without a name or `disk`, its partitions and logical volumes by the names that `lifeboat mount`
    /// shows, without `.img`; further images as ID/disk, ID/3-root. All names are told at the start.
    /// What nothing uses is a hole to them.
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Starts an image in a virtual machine, on a layer that is thrown away, until that is switched off.
    ///
    /// It has the firmware that the disk was started by, no network, and a disk of the kind that was captured. What
    /// it writes is kept apart, and is gone at the end; the image stays as it is. It needs QEMU, and OVMF for UEFI.
    /// `lifeboat verify --boot` watches it instead, and notes whether it starts.
    #[command(after_help = examples::BOOT)]
    Boot(BootArgs),
    /// Lists the volumes of an image, or the files in one, without mounting anything.
    ///
    /// Reads ext2/3/4, NTFS, FAT, exFAT, XFS, Btrfs, F2FS and HFS+ that were closed properly.
    #[command(after_help = examples::LS)]
    Ls(LsArgs),
    /// Copies a file, or a folder with all that is in it, out of an image, without mounting anything.
    ///
    /// Owners, modes and times come along where the image and the system have them; extended attributes,
    /// second streams and device nodes do not, and a hard link is copied as a file. Links are copied as
    /// they are. Nothing is overwritten. What cannot be read is warned of and left out.
    #[command(after_help = examples::COPY)]
    Copy(CopyArgs),
    /// Looks for files by their names in an image, without mounting anything.
    #[command(after_help = examples::FIND)]
    Find(FindArgs),
    /// Tells which files differ between two images, by size, time, owner and content, without mounting
    /// anything.
    ///
    /// BEFORE and AFTER are images, or volumes, folders or files of them as for `ls`. Volumes are compared
    /// by their numbers, or names. Files with the same size and time are read only where they lie in another
    /// place. Volumes whose files are not looked at, such as swap space, are compared as a whole. What cannot be
    /// compared is warned of, and the exit status is 3.
    #[command(after_help = examples::DIFF)]
    Diff(DiffArgs),
    /// Reads an image, or the whole repository, and checks every hash.
    ///
    /// Answers whether images can be restored. `lifeboat check` answers whether the repository is
    /// in order, and is quick.
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Removes images from the list: named ones, or all that no keep rule keeps.
    ///
    /// Rules work for each disk by itself. A rule such as `--keep-daily 7` keeps the newest image
    /// of each of the last seven days that have any; what any rule keeps stays. Days are those
    /// of the clock the image was made by. Images that hold only some partitions, or lack sectors,
    /// count apart and never push out whole ones. Snapshots of other programs are left alone unless
    /// they are named. `lifeboat prune` frees what no remaining image uses.
    #[command(after_help = examples::FORGET)]
    Forget(ForgetArgs),
    /// Frees the space that no image uses any more.
    ///
    /// Whatever an interrupted capture has stored is given up too. Interrupting it harms no
    /// image; running it again completes it. Nobody else can use the repository meanwhile.
    #[command(after_help = examples::PRUNE)]
    Prune(PruneArgs),
    /// Checks the repository's structure: that all files are there and fit together.
    ///
    /// Finds missing and cut packs, damaged index files, snapshots and directories, and images
    /// that lack something, without reading the data themselves; `--read-data` reads them too.
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// Repairs a damaged repository as far as what is left allows.
    #[command(after_help = examples::REPAIR)]
    Repair(RepairArgs),
    /// Removes locks that were left behind.
    ///
    /// Locks older than 30 minutes, and those of this machine whose process is gone, are removed by
    /// every command anyway. `--all` is for locks of a machine that is certainly gone.
    #[command(after_help = examples::UNLOCK)]
    Unlock(UnlockArgs),
    /// Lists, adds, removes and changes the passphrases that open a repository.
    ///
    /// Each key is a file with the same master key behind a passphrase of its own. Whoever knew a
    /// passphrase and had the files may have kept the master key: removing its key keeps out those who
    /// had neither.
    #[command(after_help = examples::KEY)]
    Key(KeyArgs),
    /// Erases a disk and makes it a place for images: one partition with an empty filesystem.
    ///
    /// The disk has to be named twice, as for a restore: as DISK and, by its serial number, WWN,
    /// (for a file) path or the word that --plan ends with, in --erase. A disk that is in use, or
    /// that Lifeboat was started from, is refused.
    #[command(after_help = examples::PREPARE)]
    Prepare(PrepareArgs),
    /// Erases a disk and makes it a stick that Lifeboat starts from, with a partition for images.
    ///
    /// Writes the ISO, and behind it, from 256 MiB to the end, an exFAT partition for images that every
    /// system reads. One that is there already, of an older Lifeboat, is kept with all that is in it.
    /// The disk has to be named twice, as for a restore. Everything is read back and compared.
    #[command(after_help = examples::MAKE_STICK)]
    #[serde(rename = "make-stick")]
    MakeStick(StickArgs),
    /// Reads the medium that Lifeboat was started from and checks every byte of it.
    ///
    /// Compares each part with its SHA-256, which stands on the medium; the partition for images is none
    /// of them (`lifeboat verify` checks images). It tells damage, not whether somebody changed both.
    #[command(after_help = examples::CHECK_MEDIUM)]
    #[serde(rename = "check-medium")]
    CheckMedium(CheckMediumArgs),
}
