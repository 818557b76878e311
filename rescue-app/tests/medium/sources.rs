//! A source is never written, whatever is on it: QEMU counts, for every kind of filesystem and
//! table at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{hfsplus_maker, tool};
use tempfile::TempDir;

use super::iso;
use super::qemu::{BOOT, Firmware, Machine, REACTION};

/// The longest that a small capture may take under emulation.
const WORK: Duration = Duration::from_secs(300);

/// What is on a disk: its serial number, its size in MiB, and how it is made. `IMAGE` is the
/// disk, `KEY` a file with some bytes, `TREE` a folder with files.
const DISKS: &[(&str, u64, &str)] = &[
    ("EXT2", 24, "mke2fs -q -F -t ext2 -d TREE IMAGE"),
    ("EXT3", 24, "mke2fs -q -F -t ext3 -d TREE IMAGE"),
    ("EXT4", 24, "mke2fs -q -F -t ext4 -d TREE IMAGE"),
    // A transaction that only the journal holds.
    (
        "EXT4-DIRTY",
        24,
        "mke2fs -q -F -t ext4 -d TREE IMAGE && \
         printf 'jo\\njw -b 3000 /dev/zero\\njc\\n' | debugfs -w -f - IMAGE && \
         dumpe2fs -h IMAGE | grep -q needs_recovery",
    ),
    ("NTFS", 24, "mkntfs -q -F -f IMAGE && ntfscp IMAGE KEY key"),
    // ntfsfix leaves the mark that asks Windows for a check.
    ("NTFS-DIRTY", 24, "mkntfs -q -F -f IMAGE && ntfscp IMAGE KEY key && ntfsfix IMAGE"),
    ("FAT16", 24, "mkfs.fat -F 16 IMAGE && mcopy -i IMAGE KEY ::"),
    ("FAT32", 64, "mkfs.fat -F 32 IMAGE && mcopy -i IMAGE KEY ::"),
    ("EXFAT", 16, "mkfs.exfat IMAGE"),
    ("XFS", 320, "mkfs.xfs -q IMAGE"),
    // Files that only the log knows.
    (
        "XFS-DIRTY",
        320,
        "mkfs.xfs -q IMAGE && mkdir IMAGE.mounted && mount -o loop IMAGE IMAGE.mounted && \
         cp -r TREE IMAGE.mounted && xfs_io -x -c 'shutdown -f' IMAGE.mounted && \
         umount IMAGE.mounted && xfs_logprint -t IMAGE | grep -q DIRTY",
    ),
    ("BTRFS", 128, "mkfs.btrfs -q -f IMAGE"),
    ("F2FS", 64, "mkfs.f2fs -q IMAGE"),
    // No tool of Debian makes it: see `Disks::make`.
    ("HFSPLUS", 24, "true"),
    ("HFSPLUS-DIRTY", 24, "true"),
    ("SWAP", 8, "mkswap IMAGE"),
    (
        "LVM",
        16,
        "loop=$(losetup -f --show IMAGE) && pvcreate -q -y --config \
         'devices{use_devicesfile=0} activation{udev_sync=0 udev_rules=0}' $loop; losetup -d $loop",
    ),
    ("LUKS", 24, "cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 IMAGE KEY"),
    (
        "GPT",
        32,
        "sgdisk -n1:2048:+8M -n3:0:+8M -t3:8200 IMAGE && \
         mke2fs -q -F -t ext4 -E offset=1048576 -d TREE IMAGE 8M",
    ),
    // With logical partitions.
    ("MBR", 32, "printf ',8M,83\\n,,E\\n,4M,7\\n,4M,c\\n' | sfdisk -q IMAGE"),
    ("BLANK", 8, "true"),
];

struct Disks {
    folder: TempDir,
}

impl Disks {
    fn make() -> Self {
        let disks = Self { folder: TempDir::new().unwrap() };
        let (key, tree) = (disks.path("key"), disks.path("tree"));
        fs::create_dir_all(tree.join("folder")).unwrap();
        fs::write(tree.join("folder/file"), [7; 100_000]).unwrap();
        fs::write(&key, [9; 64]).unwrap();
        for (serial, mebibytes, recipe) in DISKS {
            let image = disks.path(serial);
            fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
            let text = |path: &Path| path.to_str().unwrap().to_owned();
            let recipe = recipe.replace("IMAGE", &text(&image)).replace("KEY", &text(&key));
            tool("sh", &["-ec", &recipe.replace("TREE", &text(&tree))]);
        }
        for serial in ["HFSPLUS", "HFSPLUS-DIRTY"] {
            hfsplus_maker::make(&disks.path(serial), true);
        }
        hfsplus_maker::open_journal(&disks.path("HFSPLUS-DIRTY"));
        disks
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// SHA-256 of all disks.
    fn sums(&self) -> Vec<String> {
        let sum = |(serial, _, _): &(&str, u64, &str)| tool("sha256sum", &[self.path(serial)]);
        DISKS.iter().map(sum).collect()
    }
}

#[test]
fn no_kind_of_source_is_written() {
    let disks = Disks::make();
    let before = disks.sums();
    let mut machine = Machine::new(Firmware::Bios).cd(&iso());
    for (serial, _, _) in DISKS {
        machine = machine.disk(&disks.path(serial), serial);
    }
    let mut machine = machine.start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    // All drivers of filesystems are there, as they would be after some mounts.
    machine.shell("for f in ext4 xfs btrfs f2fs exfat vfat ntfs3; do modprobe $f; done; true");
    machine.shell("export LIFEBOAT_REPO=/tmp/images; lifeboat init --no-passphrase --in-memory");
    let (_, listed) = machine.try_shell("lifeboat disks", BOOT);
    for (serial, _, _) in DISKS {
        assert!(listed.contains(serial), "{serial}: {listed}");
        let command =
            format!("lifeboat capture /dev/disk/by-id/{serial} --in-memory --level fast 2>&1");
        let (status, said) = machine.try_shell(&command, WORK);
        assert_eq!(status, 0, "{serial}: {said}");
    }
    for (serial, _, _) in DISKS {
        let written = machine.monitor.written(serial);
        assert_eq!((written.operations, written.bytes), (0, 0), "{serial} was written");
    }
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);
    assert_eq!(disks.sums(), before);
}
