//! What sysfs says of disks, on trees like those of real machines.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lifeboat::disk::{Disk, DiskError, DiskKind, Sysfs, Transport, Use};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use tempfile::TempDir;

/// A machine made of files.
pub(crate) struct Machine {
    dir: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap() };
        machine.file("proc/self/mountinfo", "22 1 0:5 / /proc rw - proc proc rw\n");
        machine.file("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        machine.file("proc/cmdline", "quiet lifeboat.medium=LIFEBOAT_1A2B3C console=ttyS0\n");
        fs::create_dir_all(machine.path("sys/block")).unwrap();
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A disk `name` whose device hangs at `bus`, a path below `/sys/devices`.
    fn disk(&self, bus: &str, name: &str, number: &str, sectors: u64) -> String {
        let dir = format!("sys/devices/{bus}/block/{name}");
        self.file(&format!("{dir}/size"), format!("{sectors}\n"));
        self.file(&format!("{dir}/dev"), format!("{number}\n"));
        self.file(&format!("{dir}/removable"), "0\n");
        self.file(&format!("{dir}/ro"), "1\n");
        self.file(&format!("{dir}/queue/logical_block_size"), "512\n");
        self.file(&format!("{dir}/queue/physical_block_size"), "4096\n");
        symlink("../..", self.path(&dir).join("device")).unwrap();
        symlink(self.path(&dir), self.path("sys/block").join(name)).unwrap();
        dir
    }

    /// A node of a block device that is not there, with the number that it would have.
    fn node(&self, name: &str, number: (u64, u64)) -> PathBuf {
        let path = self.path("dev").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        mknod(&path, SFlag::S_IFBLK, mode, makedev(number.0, number.1)).unwrap();
        path
    }

    fn system(&self) -> Sysfs {
        Sysfs { sys: self.path("sys"), proc: self.path("proc"), dev: self.path("dev") }
    }

    fn list(&self) -> Vec<Disk> {
        self.system().list().unwrap()
    }

    fn only(&self) -> Disk {
        let mut disks = self.list();
        assert_eq!(disks.len(), 1, "{disks:?}");
        disks.pop().unwrap()
    }
}

/// VPD page 0x80 with a serial number.
fn page80(serial: &str) -> Vec<u8> {
    let mut page = vec![0, 0x80, 0, u8::try_from(serial.len()).unwrap()];
    page.extend(serial.as_bytes());
    page
}

/// VPD page 0x89 with IDENTIFY data: strings padded with blanks, two bytes of each word swapped.
fn page89(model: &str, serial: &str) -> Vec<u8> {
    let mut page = vec![0; 572];
    page[1] = 0x89;
    let mut put = |at: usize, text: String| {
        for (index, pair) in text.as_bytes().chunks(2).enumerate() {
            page[60 + at + index * 2] = pair[1];
            page[60 + at + index * 2 + 1] = pair[0];
        }
    };
    put(20, format!("{serial:>20}"));
    put(54, format!("{model:<40}"));
    page
}

fn sata(machine: &Machine) -> String {
    let bus = "pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0";
    let dir = machine.disk(bus, "sda", "8:0", 1_953_525_168);
    let device = format!("sys/devices/{bus}");
    machine.file(&format!("{device}/vendor"), "ATA     \n");
    machine.file(&format!("{device}/model"), "Samsung SSD 870 \n");
    machine.file(&format!("{device}/wwid"), "naa.5002538e40a1b2c3\n");
    machine.file(&format!("{device}/vpd_pg80"), page80("S5Y1NJ0R123456      "));
    machine
        .file(&format!("{device}/vpd_pg89"), page89("Samsung SSD 870 EVO 1TB", "S5Y1NJ0R123456"));
    dir
}

#[test]
fn sata_disk() {
    let machine = Machine::new();
    sata(&machine);
    let disk = machine.only();
    assert_eq!(disk.path, machine.path("dev/sda"));
    assert_eq!(disk.kind, DiskKind::Device);
    assert_eq!(disk.size, 1_000_204_886_016);
    assert_eq!((disk.logical_sector, disk.physical_sector), (512, 4096));
    assert_eq!(disk.transport, Transport::Sata);
    assert!(disk.read_only && !disk.removable && !disk.boot_medium && disk.uses.is_empty());
    assert_eq!(disk.identity(), "Samsung SSD 870 EVO 1TB (S5Y1NJ0R123456)");
    for name in [
        "S5Y1NJ0R123456",
        "ata-Samsung_SSD_870_EVO_1TB_S5Y1NJ0R123456",
        "/dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NJ0R123456",
        "wwn-0x5002538e40a1b2c3",
        "/dev/disk/by-id/wwn-0x5002538E40A1B2C3",
        "0x5002538e40a1b2c3",
        "naa.5002538e40a1b2c3",
        "5002538e40a1b2c3",
    ] {
        assert!(disk.matches_identity(name), "{name}");
    }
    for name in ["", " ", "sda", "/dev/sda", "S5Y1NJ0R12345", "s5y1", "0x", "wwn-", "Samsung"] {
        assert!(!disk.matches_identity(name), "{name}");
    }
    assert_eq!(disk.partition_path(3), Some(machine.path("dev/sda3")));
}

#[test]
fn sata_disk_without_ata_page_falls_back_to_the_inquiry() {
    let machine = Machine::new();
    let device = "sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0";
    sata(&machine);
    fs::remove_file(machine.path(device).join("vpd_pg89")).unwrap();
    assert_eq!(machine.only().identity(), "Samsung SSD 870 (S5Y1NJ0R123456)");
    fs::remove_file(machine.path(device).join("vpd_pg80")).unwrap();
    assert_eq!(machine.only().identity(), "Samsung SSD 870 (naa.5002538e40a1b2c3)");
}

#[test]
fn nvme_disk() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0";
    let dir = format!("sys/devices/{bus}/nvme0n1");
    let made = machine.disk(bus, "nvme0n1", "259:0", 2_000_409_264);
    // The namespace lies directly below its controller, without a "block" step between.
    fs::rename(machine.path(&made), machine.path(&dir)).unwrap();
    for link in [machine.path("sys/block/nvme0n1"), machine.path(&dir).join("device")] {
        fs::remove_file(link).unwrap();
    }
    symlink("..", machine.path(&dir).join("device")).unwrap();
    symlink(machine.path(&dir), machine.path("sys/block/nvme0n1")).unwrap();
    machine.file(&format!("sys/devices/{bus}/model"), "WDC PC SN730 SDBQNTY-1T00           \n");
    machine.file(&format!("sys/devices/{bus}/serial"), "20216A801234        \n");
    machine.file(&format!("{dir}/wwid"), "eui.e8238fa6bf530001001b448b46f12345\n");
    let disk = machine.only();
    assert_eq!(disk.transport, Transport::Nvme);
    assert_eq!(disk.identity(), "WDC PC SN730 SDBQNTY-1T00 (20216A801234)");
    for name in [
        "20216A801234",
        "nvme-WDC_PC_SN730_SDBQNTY-1T00_20216A801234",
        "nvme-eui.e8238fa6bf530001001b448b46f12345",
        "eui.e8238fa6bf530001001b448b46f12345",
        "e8238fa6bf530001001b448b46f12345",
    ] {
        assert!(disk.matches_identity(name), "{name}");
    }
    assert_eq!(disk.partition_path(1), Some(machine.path("dev/nvme0n1p1")));
}

#[test]
fn usb_stick_is_the_boot_medium_by_its_volume_id() {
    let machine = Machine::new();
    let usb = "pci0000:00/0000:00:14.0/usb1/1-4";
    let bus = format!("{usb}/1-4:1.0/host6/target6:0:0/6:0:0:0");
    let dir = machine.disk(&bus, "sdb", "8:16", 60_063_744);
    machine.file(&format!("sys/devices/{usb}/idVendor"), "0781\n");
    machine.file(&format!("sys/devices/{usb}/serial"), "4C530001230101115395\n");
    machine.file(&format!("sys/devices/{bus}/vendor"), "SanDisk \n");
    machine.file(&format!("sys/devices/{bus}/model"), "Ultra Fit       \n");
    machine.file(&format!("{dir}/removable"), "1\n");
    let mut content = vec![0; 40_000];
    content[32_808..32_840].copy_from_slice(b"LIFEBOAT_1A2B3C                 ");
    machine.file("dev/sdb", &content);
    let disk = machine.only();
    assert_eq!((disk.transport, disk.removable, disk.boot_medium), (Transport::Usb, true, true));
    assert_eq!(disk.identity(), "SanDisk Ultra Fit (4C530001230101115395)");
    for name in ["4C530001230101115395", "usb-SanDisk_Ultra_Fit_4C530001230101115395-0:0"] {
        assert!(disk.matches_identity(name), "{name}");
    }
    // Another medium of the same kind, and a system not started from ours.
    content[32_808 + 14] = b'D';
    machine.file("dev/sdb", &content);
    assert!(!machine.only().boot_medium);
    content[32_808 + 14] = b'C';
    machine.file("dev/sdb", &content);
    machine.file("proc/cmdline", "quiet\n");
    assert!(!machine.only().boot_medium);
}

#[test]
fn the_medium_s_own_programs_are_no_disk() {
    let machine = Machine::new();
    let programs = machine.disk("virtual", "loop7", "7:7", 41_816);
    machine.file(&format!("{programs}/loop/backing_file"), "/system/usr.squashfs\n");
    let other = machine.disk("virtual", "loop0", "7:0", 2048);
    machine.file(&format!("{other}/loop/backing_file"), "/tmp/disk.img\n");
    assert_eq!(machine.only().path, machine.path("dev/loop0"));
    // Elsewhere a file of that name is a file like any other.
    machine.file("proc/cmdline", "quiet\n");
    assert_eq!(machine.list().len(), 2);
}

#[test]
fn names_as_under_dev_disk_by_id_lead_to_one_disk_only() {
    let machine = Machine::new();
    let reader = "pci0000:00/0000:00:14.0/usb1/1-2";
    machine.file(&format!("sys/devices/{reader}/idVendor"), "058f\n");
    machine.file(&format!("sys/devices/{reader}/serial"), "058F63666471\n");
    // Two slots of one card reader, told apart by nothing that udev's name would say.
    for (name, lun) in [("sdb", 0), ("sdc", 1)] {
        let bus = format!("{reader}/1-2:1.0/host6/target6:0:0/6:0:0:{lun}");
        machine.disk(&bus, name, &format!("8:{}", 16 + lun), 1000);
        machine.file(&format!("sys/devices/{bus}/vendor"), "Generic-\n");
        machine.file(&format!("sys/devices/{bus}/model"), "SD/MMC\n");
    }
    sata(&machine);
    let open = |name: &str| machine.system().open(&Path::new("/dev/disk/by-id").join(name), None);
    let found = open("ata-Samsung_SSD_870_EVO_1TB_S5Y1NJ0R123456").unwrap();
    assert_eq!(found.path, machine.path("dev/sda"));
    let both = open("usb-Generic-_SD_MMC_058F63666471-0:0").unwrap_err();
    assert!(matches!(both, DiskError::Ambiguous { .. }), "{both}");
    let message = both.to_string();
    assert!(message.contains("sdb") && message.contains("sdc"), "{message}");
    assert!(matches!(open("ata-Other"), Err(DiskError::NotFound { .. })));
}

#[test]
fn usb_enclosure_with_an_ata_disk_is_usb() {
    let machine = Machine::new();
    let usb = "pci0000:00/0000:00:14.0/usb2/2-1";
    let bus = format!("{usb}/2-1:1.0/host7/target7:0:0/7:0:0:0");
    machine.disk(&bus, "sdc", "8:32", 1000);
    machine.file(&format!("sys/devices/{bus}/vendor"), "ASMT    \n");
    machine.file(&format!("sys/devices/{bus}/model"), "2115            \n");
    machine.file(&format!("sys/devices/{bus}/vpd_pg80"), page80("00000000000000000000"));
    let disk = machine.only();
    assert_eq!(disk.transport, Transport::Usb);
    assert_eq!(disk.identity(), "ASMT 2115 (00000000000000000000)");
    machine.file(&format!("sys/devices/{bus}/model"), "ASMT 2115\n");
    let disk = machine.only();
    assert_eq!(disk.identity(), "ASMT 2115 (00000000000000000000)");
    assert!(disk.matches_identity("usb-ASMT_ASMT_2115_00000000000000000000-0:0"));
}

#[test]
fn virtio_disks() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:04.0/virtio1";
    let dir = machine.disk(bus, "vda", "254:0", 1000);
    machine.file(&format!("sys/devices/{bus}/vendor"), "0x1af4\n");
    machine.file(&format!("{dir}/serial"), "disk-one");
    let scsi = "pci0000:00/0000:00:05.0/virtio2/host0/target0:0:0/0:0:0:0";
    machine.disk(scsi, "sda", "8:0", 1000);
    machine.file(&format!("sys/devices/{scsi}/vendor"), "QEMU    \n");
    machine.file(&format!("sys/devices/{scsi}/model"), "QEMU HARDDISK   \n");
    let disks = machine.list();
    let (scsi, blk) = (&disks[0], &disks[1]);
    assert_eq!((scsi.transport, blk.transport), (Transport::Virtio, Transport::Virtio));
    assert_eq!(blk.identity(), "virtio disk (disk-one)");
    assert!(blk.matches_identity("disk-one") && blk.matches_identity("virtio-disk-one"));
    // Nothing to know it by again: shown by its node, matched by nothing.
    assert_eq!(scsi.identity(), format!("QEMU HARDDISK at {}", scsi.path.display()));
    assert!(!scsi.matches_identity("sda") && !scsi.matches_identity("QEMU HARDDISK"));
}

#[test]
fn mmc_disk_without_its_firmware_partitions() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001";
    machine.disk(bus, "mmcblk0", "179:0", 61_071_360);
    machine.disk(bus, "mmcblk0boot0", "179:8", 8192);
    machine.disk(bus, "mmcblk0rpmb", "179:16", 8192);
    machine.file(&format!("sys/devices/{bus}/name"), "DA4032\n");
    machine.file(&format!("sys/devices/{bus}/serial"), "0x1f2e3d4c\n");
    let disk = machine.only();
    assert_eq!((disk.transport, disk.identity().as_str()), (Transport::Mmc, "DA4032 (0x1f2e3d4c)"));
    assert!(disk.matches_identity("mmc-DA4032_0x1f2e3d4c"));
}

#[test]
fn sas_and_raid_disks() {
    let machine = Machine::new();
    let sas = "pci0000:00/0000:02:00.0/host1/port-1:0/end_device-1:0/target1:0:0/1:0:0:0";
    machine.disk(sas, "sda", "8:0", 1000);
    machine.disk("pci0000:00/0000:04:00.0/host8/target8:2:0/8:2:0:0", "sdb", "8:16", 1000);
    let transports: Vec<Transport> = machine.list().iter().map(|disk| disk.transport).collect();
    assert_eq!(transports, [Transport::Sas, Transport::Scsi]);
}

#[test]
fn only_disks_are_listed_and_in_natural_order() {
    let machine = Machine::new();
    for (name, number) in [
        ("sdaa", "65:160"),
        ("sdb", "8:16"),
        ("nvme10n1", "259:9"),
        ("nvme2n1", "259:2"),
        ("ram0", "1:0"),
        ("zram0", "253:0"),
        ("dm-0", "252:0"),
        ("md127", "9:127"),
        ("loop3", "7:3"),
    ] {
        machine.disk(&format!("virtual/{name}.dev"), name, number, 1000);
    }
    // One path of a multipath NVMe disk.
    let hidden = machine.disk("virtual/nvme-subsystem", "nvme2c2n1", "259:3", 1000);
    machine.file(&format!("{hidden}/hidden"), "1\n");
    // A card reader without a card, an optical drive.
    machine.disk("pci0000:00/x", "sdc", "8:32", 0);
    machine.disk("pci0000:00/y", "sr0", "11:0", 2_097_151);
    machine.file("sys/devices/pci0000:00/y/type", "5\n");
    fs::write(machine.path("sys/block/loop3/size"), "0\n").unwrap();
    let names: Vec<String> = machine
        .list()
        .iter()
        .map(|disk| disk.path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["nvme2n1", "nvme10n1", "sdb", "sdaa"]);
}

#[test]
fn uses_of_a_disk_and_its_partitions() {
    let machine = Machine::new();
    let dir = sata(&machine);
    for (part, number) in [("sda1", "8:1"), ("sda2", "8:2"), ("sda3", "8:3"), ("sda10", "8:10")] {
        machine.file(&format!("{dir}/{part}/partition"), "1\n");
        machine.file(&format!("{dir}/{part}/dev"), number);
    }
    machine.file(&format!("{dir}/sda3/holders/dm-0/name"), "");
    machine.disk("virtual", "loop0", "7:0", 1000);
    let backing = machine.node("sda10", (8, 10));
    machine.file("sys/devices/virtual/block/loop0/loop/backing_file", backing.to_str().unwrap());
    let swap = format!("h\n{}  partition\t1\t0\t-2\n", machine.node("sda2", (8, 2)).display());
    machine.file("proc/swaps", swap);
    let btrfs = machine.path("dev/sda10");
    let mounts = format!(
        "22 1 0:5 / /proc rw - proc proc rw\n\
         30 1 8:1 / /mnt/a\\040b rw shared:1 - ext4 /dev/root rw\n\
         31 1 0:40 / /data rw - btrfs {} rw\n\
         32 1 8:100 / /other rw - ext4 /dev/other rw\n",
        btrfs.display()
    );
    machine.file("proc/self/mountinfo", mounts);
    let dev = |name: &str| machine.path(&format!("dev/{name}"));
    let disk = machine.list().into_iter().find(|disk| disk.path == dev("sda")).unwrap();
    assert_eq!(
        disk.uses,
        [
            Use::Mounted { device: dev("sda1"), mountpoint: "/mnt/a b".into() },
            Use::Mounted { device: dev("sda10"), mountpoint: "/data".into() },
            Use::Holder { device: dev("sda10"), holder: dev("loop0") },
            Use::Swap { device: dev("sda2") },
            Use::Holder { device: dev("sda3"), holder: dev("dm-0") },
        ]
    );
    assert_eq!(
        disk.uses[0].to_string(),
        format!("{} is mounted at /mnt/a b", dev("sda1").display())
    );
}

#[test]
fn a_mounted_btrfs_uses_all_of_its_devices() {
    let machine = Machine::new();
    let dir = sata(&machine);
    machine.file(&format!("{dir}/sda1/partition"), "1\n");
    let other = machine.node("sdz9", (65, 169)).display().to_string();
    let mounts = format!("31 1 0:40 / /data rw - btrfs {other} rw\n");
    machine.file("proc/self/mountinfo", mounts);
    machine.file("sys/fs/btrfs/features/raid56", "0\n");
    assert_eq!(machine.only().uses, []);
    machine.file(&format!("{dir}/sda1/dev"), "8:1\n");
    for (name, number) in [("sda1", "8:1\n"), ("sdz9", "65:169\n")] {
        machine.file(&format!("sys/fs/btrfs/1b4e28ba-2fa1/devices/{name}/dev"), number);
    }
    let device = machine.path("dev/sda1");
    let mountpoint = "/data".into();
    assert_eq!(machine.only().uses, [Use::Mounted { device: device.clone(), mountpoint }]);
    // Mounted where this program does not see it: the kernel tells the devices all the same.
    machine.file("proc/self/mountinfo", "");
    let by = "a mounted Btrfs".to_owned();
    assert_eq!(machine.only().uses, [Use::Claimed { device, by }]);
}

#[test]
fn a_mapping_is_named_by_its_name() {
    let machine = Machine::new();
    let dir = machine.disk("virtual", "dm-3", "252:3", 1000);
    machine.file(&format!("{dir}/dm/name"), "vg-root\n");
    fs::create_dir_all(machine.path("sys/dev/block")).unwrap();
    symlink(machine.path(&dir), machine.path("sys/dev/block/252:3")).unwrap();
    let node = machine.node("dm-3", (252, 3));
    let disk = machine.system().open(&node, None).unwrap();
    symlink(&node, machine.path("dev/root-of-vg")).unwrap();
    let named = |name: &Path| disk.matches_identity(name.to_str().unwrap());
    assert!(disk.matches_identity("vg-root") && named(&machine.path("dev/root-of-vg")));
    assert!(!named(&node) && !disk.matches_identity("dm-3"));
    assert!(!disk.matches_identity("/dev/dm-3") && !disk.matches_identity("/dev/null"));
}

#[test]
fn mounts_in_other_namespaces_and_swap_by_another_name_are_uses() {
    let machine = Machine::new();
    let dir = sata(&machine);
    for (part, number) in [("sda1", "8:1"), ("sda2", "8:2")] {
        machine.file(&format!("{dir}/{part}/partition"), "1\n");
        machine.file(&format!("{dir}/{part}/dev"), number);
    }
    // One process in a namespace of its own, another in that of this program.
    for (pid, namespace) in [("self", 1), ("10", 1), ("11", 2)] {
        fs::create_dir_all(machine.path(&format!("proc/{pid}/ns"))).unwrap();
        let link = machine.path(&format!("proc/{pid}/ns/mnt"));
        symlink(format!("mnt:[{namespace}]"), link).unwrap();
    }
    machine.file("proc/11/comm", "imager\n");
    machine.file("proc/11/mountinfo", "30 1 8:1 / /mnt/a rw - ext4 /dev/sda1 rw\n");
    machine.node("mapper-like/name", (8, 2));
    let swap = machine.path("dev/mapper-like/name");
    machine.file("proc/swaps", format!("h\n{}  partition\t1\t0\t-2\n", swap.display()));
    let told: Vec<String> = machine.only().uses.iter().map(ToString::to_string).collect();
    let dev = |name: &str| machine.path("dev").join(name).display().to_string();
    assert_eq!(
        told,
        [
            format!(
                "{} is in use by a mount at /mnt/a that imager (process 11) sees, in another mount \
                 namespace",
                dev("sda1")
            ),
            format!("{} is used as swap", dev("sda2")),
        ]
    );
}

#[test]
fn names_from_devices_cannot_talk_to_the_terminal() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:14.0/usb1/1-4/host6";
    machine.disk(bus, "sdb", "8:16", 1000);
    machine.file(&format!("sys/devices/{bus}/model"), b"evil\x1b[2Jname\x07\n\0\0".as_slice());
    assert_eq!(machine.only().model.as_deref(), Some("evil?[2Jname?"));
}
