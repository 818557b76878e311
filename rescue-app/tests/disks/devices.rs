//! What the kernel does with real loop devices.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::tool;
use lifeboat::bytes::ReadAt;
use lifeboat::disk::{
    self, Agreement, Disk, DiskError, DiskKind, Source, Target, Transport, Use, create_image_file,
    mount, remount,
};
use tempfile::TempDir;

pub const MIB: u64 = 1 << 20;

/// Opens what is there as what was agreed to.
pub fn open_target(disk: &Disk) -> Result<Target, DiskError> {
    Target::open(disk, &agree(disk)?)
}

pub fn agree(disk: &Disk) -> Result<Agreement, DiskError> {
    Agreement::on(disk, &Source::open(&disk.path)?)
}

/// A loop device over a new file of 8 MiB.
pub struct Loop {
    /// Detached when dropped.
    pub attached: common::Loop,
    pub device: PathBuf,
    pub dir: TempDir,
}

impl Loop {
    pub fn new(options: &[&str]) -> Self {
        Self::over_new_file(|file| common::Loop::with(options, file))
    }

    /// Like [`common::Loop::numbered`].
    pub fn numbered(number: u32) -> Self {
        Self::over_new_file(|file| common::Loop::numbered(number, file))
    }

    fn over_new_file(attach: impl FnOnce(&Path) -> common::Loop) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("disk.img");
        create_image_file(&file, 8 * MIB).unwrap();
        let attached = attach(&file);
        Self { device: attached.path().into(), attached, dir }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    pub fn name(&self) -> &str {
        self.attached.name()
    }

    pub fn disk(&self) -> Disk {
        disk::open(&self.device, None).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The kernel keeps the flag for whoever gets this loop device next.
        let _ = disk::set_read_only(&self.device, false);
    }
}

/// A property as `blockdev` tells it.
fn blockdev(property: &str, device: &Loop) -> String {
    tool("blockdev", &[property, device.name()]).trim().to_owned()
}

#[test]
fn loop_device_is_described_as_blockdev_does() {
    let device = Loop::new(&["-b", "4096"]);
    let disk = device.disk();
    assert_eq!(disk.size.to_string(), blockdev("--getsize64", &device));
    assert_eq!(disk.logical_sector.to_string(), blockdev("--getss", &device));
    assert_eq!(disk.physical_sector.to_string(), blockdev("--getpbsz", &device));
    assert_eq!((disk.transport, disk.logical_sector), (Transport::Loop, 4096));
    assert!(disk.matches_identity(device.file().to_str().unwrap()));
    assert!(disk::list().unwrap().contains(&disk));
    assert_eq!(disk::open(&device.device, Some(4096)).unwrap(), disk);
    let wrong = disk::open(&device.device, Some(512));
    assert!(matches!(wrong, Err(DiskError::SectorSize { asked: 512, .. })), "{wrong:?}");
}

#[test]
fn target_writes_to_the_device() {
    let device = Loop::new(&[]);
    let target = open_target(&device.disk()).unwrap();
    assert_eq!(target.size(), 8 * MIB);
    target.write_at(8 * MIB - 5, b"hello").unwrap();
    assert!(target.write_at(8 * MIB - 4, b"hello").is_err());
    assert!(target.write_at(u64::MAX, b"hello").is_err());
    target.drop_caches().unwrap();
    target.re_read_table().unwrap();
    assert_eq!(target.read_vec(8 * MIB - 5, 5).unwrap(), b"hello");
    drop(target);
    assert_eq!(&fs::read(device.file()).unwrap()[8 * 1024 * 1024 - 5..], b"hello");
}

#[test]
fn target_takes_the_device_for_itself() {
    let device = Loop::new(&[]);
    let disk = device.disk();
    let first = open_target(&disk).unwrap();
    let second = open_target(&disk);
    assert!(matches!(second, Err(DiskError::Claimed { .. })), "{second:?}");
    drop(first);
    open_target(&disk).unwrap();
}

/// At boot every disk is protected; only the target is lifted, and only while it is written.
#[test]
fn write_protection_is_lifted_and_put_back() {
    let device = Loop::new(&[]);
    disk::set_read_only(&device.device, true).unwrap();
    assert_eq!(blockdev("--getro", &device), "1");
    let disk = device.disk();
    assert!(disk.read_only);
    let source = Source::open(&device.device).unwrap();
    let mut first = [1; 16];
    source.read_at(0, &mut first).unwrap();
    assert_eq!(first, [0; 16]);
    assert_eq!(blockdev("--getro", &device), "1");
    let target = open_target(&disk).unwrap();
    assert_eq!(blockdev("--getro", &device), "0");
    // Not flushed: what the page cache holds must reach the device all the same.
    target.write_at(4 * MIB, &[0x5a; 1 << 20]).unwrap();
    drop(target);
    assert_eq!(blockdev("--getro", &device), "1");
    let written = fs::read(device.file()).unwrap();
    assert!(written[4 << 20..5 << 20].iter().all(|byte| *byte == 0x5a));
    // A refused target leaves the protection as it was.
    let other = Disk { serial: Some("another".into()), ..disk };
    assert!(matches!(open_target(&other), Err(DiskError::Changed { .. })));
    assert_eq!(blockdev("--getro", &device), "1");
    // A device that was not protected is not protected afterwards.
    disk::set_read_only(&device.device, false).unwrap();
    drop(open_target(&device.disk()).unwrap());
    assert_eq!(blockdev("--getro", &device), "0");
}

#[test]
fn device_that_is_read_only_by_itself_is_refused() {
    let device = Loop::new(&["-r"]);
    let before = fs::read(device.file()).unwrap();
    let refused = open_target(&device.disk());
    assert!(matches!(refused, Err(DiskError::Refused { .. })), "{refused:?}");
    assert_eq!(blockdev("--getro", &device), "1");
    assert!(fs::read(device.file()).unwrap() == before);
}

#[test]
fn mounted_disk_is_refused_and_named() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", device.name()]);
    let dir = device.dir.path().join("mounted here");
    let guard = mount::mount_read_only(&device.device, "ext4", &dir).unwrap();
    assert_eq!(guard.dir(), dir);
    assert!(dir.join("lost+found").is_dir());
    let disk = device.disk();
    let used = Use::Mounted { device: device.device.clone(), mountpoint: dir.clone() };
    assert_eq!(disk.uses, [used]);
    let refused = open_target(&disk).unwrap_err().to_string();
    assert!(refused.contains("is mounted at"), "{refused}");
    guard.unmount().unwrap();
    assert!(!dir.join("lost+found").exists());
    open_target(&device.disk()).unwrap();
}

#[test]
fn filesystems_without_a_journal_are_mounted_too() {
    let device = Loop::new(&[]);
    tool("mkfs.ext2", &["-q", device.name()]);
    let dir = device.dir.path().join("m");
    mount::mount_read_only(&device.device, "ext2", &dir).unwrap().unmount().unwrap();
    assert!(mount::can_mount_read_only("ext2") && !mount::can_mount_read_only("crypto_luks"));
    assert!(mount::can_mount_read_write("ext2") && !mount::can_mount_read_write("iso9660"));
}

/// What the filesystem itself wants done about damage would stop the whole system.
#[test]
fn a_filesystem_s_own_policy_for_damage_does_not_count() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", device.name()]);
    tool("tune2fs", &["-e", "panic", device.name()]);
    let dir = device.dir.path().join("m");
    let options = || tool("findmnt", &["-n", "-o", "OPTIONS", dir.to_str().unwrap()]);
    let guard = mount::mount_read_only(&device.device, "ext4", &dir).unwrap();
    let shown = options();
    assert!(shown.contains("errors=continue") && shown.starts_with("ro,"), "{shown}");
    guard.unmount().unwrap();
    let guard = mount::mount_read_write(&device.device, &device.device, "ext4", &dir).unwrap();
    let shown = options();
    assert!(shown.contains("errors=remount-ro"), "{shown}");
    guard.unmount().unwrap();
}

/// A filesystem with a journal to replay is mounted without one bit being changed.
#[test]
fn read_only_mount_replays_no_journal() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", "-O", "has_journal", device.name()]);
    let dir = device.dir.path().join("m");
    let guard = mount::mount_read_write(&device.device, &device.device, "ext4", &dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    File::open(dir.join("file")).unwrap().sync_all().unwrap();
    // What a power cut at this moment would leave behind.
    let cut = device.dir.path().join("cut.img");
    tool("dd", &[&format!("if={}", device.name()), &format!("of={}", cut.display()), "bs=1M"]);
    drop(guard);
    let features = tool("dumpe2fs", &["-h", cut.to_str().unwrap()]);
    assert!(features.contains("needs_recovery"), "{features}");
    let before = fs::read(&cut).unwrap();
    let second = common::Loop::new(&cut);
    let mounted = mount::mount_read_only(second.path(), "ext4", &dir);
    mounted.map(|guard| guard.unmount()).unwrap().unwrap();
    drop(second);
    assert!(fs::read(&cut).unwrap() == before);
}

/// What a person left mounted in the shell of the boot medium, where every disk is protected.
#[test]
fn a_read_only_mount_of_somebody_else_is_writable_for_a_time() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", device.name()]);
    disk::set_read_only(&device.device, true).unwrap();
    let dir = device.dir.path().join("left behind");
    fs::create_dir(&dir).unwrap();
    let folder = dir.to_str().unwrap();
    tool("mount", &["-t", "ext4", "-o", "ro,nosuid", device.name(), folder]);
    assert!(remount::is_read_only(&dir) && fs::write(dir.join("image"), "bytes").is_err());
    {
        let _writable = remount::make_writable(&device.device, &dir).unwrap().unwrap();
        fs::write(dir.join("image"), "bytes").unwrap();
        assert!(remount::make_writable(&device.device, &dir).unwrap().is_none());
    }
    let shown = tool("findmnt", &["-n", "-o", "OPTIONS", folder]);
    assert!(shown.starts_with("ro,nosuid"), "as it was: {shown}");
    assert_eq!(blockdev("--getro", &device), "1");
    assert_eq!(fs::read(dir.join("image")).unwrap(), b"bytes");
    tool("umount", &[folder]);

    tool("mount", &["-t", "ext4", "-o", "ro,noload", device.name(), folder]);
    let refused = remount::make_writable(&device.device, &dir).unwrap_err().to_string();
    let still = remount::is_read_only(&dir);
    tool("umount", &[folder]);
    assert!(refused.contains("without its journal") && still, "{refused}");
}

#[test]
fn mount_for_writing_lifts_the_protection_for_its_time() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", device.name()]);
    disk::set_read_only(&device.device, true).unwrap();
    let dir = device.dir.path().join("store");
    {
        let guard = mount::mount_read_write(&device.device, &device.device, "ext4", &dir).unwrap();
        fs::write(guard.dir().join("image"), "bytes").unwrap();
        assert_eq!(blockdev("--getro", &device), "0");
    }
    assert_eq!(blockdev("--getro", &device), "1");
    let guard = mount::mount_read_only(&device.device, "ext4", &dir).unwrap();
    assert_eq!(fs::read_to_string(dir.join("image")).unwrap(), "bytes");
    assert!(fs::write(dir.join("image"), "other").is_err());
    drop(guard);
    let unknown = mount::mount_read_only(&device.device, "zfs_member", &dir);
    assert!(matches!(unknown, Err(DiskError::CannotMount { .. })), "{unknown:?}");
    // A failed mount leaves the protection as it was.
    assert!(mount::mount_read_write(&device.device, &device.device, "vfat", &dir).is_err());
    assert_eq!(blockdev("--getro", &device), "1");
}

#[test]
fn image_files() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("disk.img");
    create_image_file(&path, 3 * MIB).unwrap();
    assert!(matches!(create_image_file(&path, MIB), Err(DiskError::Exists { .. })));
    let impossible = dir.path().join("impossible.img");
    assert!(create_image_file(&impossible, u64::MAX).is_err() && !impossible.exists());
    let disk = disk::open(&path, None).unwrap();
    let real = path.canonicalize().unwrap();
    assert_eq!((disk.kind, disk.transport), (DiskKind::ImageFile, Transport::File));
    assert_eq!((disk.size, disk.logical_sector), (3 * MIB, 512));
    assert_eq!(disk.identity(), real.display().to_string());
    assert!(disk.matches_identity(path.to_str().unwrap()) && !disk.matches_identity("disk.img"));
    assert_eq!(disk.partition_path(1), None);
    assert_eq!(disk::open(&path, Some(4096)).unwrap().logical_sector, 4096);
    for size in [0, 256, 1000, 8192] {
        assert!(matches!(disk::open(&path, Some(size)), Err(DiskError::SectorSize { .. })));
    }
    let target = open_target(&disk).unwrap();
    target.write_at(MIB, &[7; 8192]).unwrap();
    assert!(target.write_at(3 * MIB, &[7]).is_err());
    assert!(target.discard(MIB, 4096) && !target.discard(3 * MIB, 4096));
    target.drop_caches().unwrap();
    target.re_read_table().unwrap();
    assert_eq!(target.read_vec(MIB, 4096).unwrap(), [0; 4096]);
    assert_eq!(target.read_vec(MIB + 4096, 4096).unwrap(), [7; 4096]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 3 * MIB);
    assert!(matches!(open_target(&disk), Err(DiskError::Refused { .. })));
    drop(target);
    open_target(&disk).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"x", 4 * MIB).unwrap();
    assert!(matches!(open_target(&disk), Err(DiskError::Changed { .. })));
}

#[test]
fn what_is_no_disk_is_refused() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(disk::open(dir.path(), None), Err(DiskError::NotADisk { .. })));
    assert!(matches!(disk::open(Path::new("/dev/null"), None), Err(DiskError::NotADisk { .. })));
    let nothing = disk::open(&dir.path().join("nothing"), None);
    assert!(matches!(nothing, Err(DiskError::NotFound { .. })), "{nothing:?}");
    let by_id = disk::open(Path::new("/dev/disk/by-id/ata-No_Such_Disk_123"), None);
    assert!(matches!(by_id, Err(DiskError::NotFound { .. })), "{by_id:?}");
    assert!(Source::open(dir.path()).is_err());
}
