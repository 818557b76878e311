//! Disks: what sysfs says of them, on trees like those of real machines, and what the kernel
//! does with real loop devices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use lifeboat::bytes::ReadAt;
use lifeboat::disk::{
    self, Disk, DiskError, DiskKind, Source, Sysfs, Target, Transport, Use, create_image_file,
    mount, pci,
};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A machine made of files.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap() };
        machine.file("proc/self/mountinfo", "22 1 0:5 / /proc rw - proc proc rw\n");
        machine.file("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        machine.file("proc/cmdline", "quiet lifeboat.medium=LIFEBOAT_1A2B3C console=ttyS0\n");
        fs::create_dir_all(machine.path("sys/block")).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
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
    let backing = machine.path("dev/sda10");
    machine.file("sys/devices/virtual/block/loop0/loop/backing_file", backing.to_str().unwrap());
    let swap = format!("h\n{}  partition\t1\t0\t-2\n", machine.path("dev/sda2").display());
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
    let other = machine.path("dev/sdz9").display().to_string();
    let mounts = format!("31 1 0:40 / /data rw - btrfs {other} rw\n");
    machine.file("proc/self/mountinfo", mounts);
    machine.file("sys/fs/btrfs/features/raid56", "0\n");
    assert_eq!(machine.only().uses, []);
    for name in ["sda1", "sdz9"] {
        machine.file(&format!("sys/fs/btrfs/1b4e28ba-2fa1/devices/{name}/size"), "1\n");
    }
    let device = machine.path("dev/sda1");
    let mountpoint = "/data".into();
    assert_eq!(machine.only().uses, [Use::Mounted { device, mountpoint }]);
}

#[test]
fn names_from_devices_cannot_talk_to_the_terminal() {
    let machine = Machine::new();
    let bus = "pci0000:00/0000:00:14.0/usb1/1-4/host6";
    machine.disk(bus, "sdb", "8:16", 1000);
    machine.file(&format!("sys/devices/{bus}/model"), b"evil\x1b[2Jname\x07\n\0\0".as_slice());
    assert_eq!(machine.only().model.as_deref(), Some("evil?[2Jname?"));
}

#[test]
fn controllers_without_a_driver() {
    let machine = Machine::new();
    let pci_device = |address: &str, vendor: &str, device: &str, class: &str| {
        let dir = format!("sys/bus/pci/devices/{address}");
        machine.file(&format!("{dir}/vendor"), vendor);
        machine.file(&format!("{dir}/device"), device);
        machine.file(&format!("{dir}/class"), class);
        dir
    };
    pci_device("0000:00:0e.0", "0x8086\n", "0x467f\n", "0x010400\n");
    pci_device("0000:01:00.0", "0x1000\n", "0x005b\n", "0x010400\n");
    pci_device("0000:00:02.0", "0x8086\n", "0x46a6\n", "0x030000\n");
    let bound = pci_device("0000:02:00.0", "0x144d\n", "0xa808\n", "0x010802\n");
    machine.file(&format!("{bound}/driver/bind"), "");
    let ahci = pci_device("0000:00:17.0", "0x8086\n", "0x282a\n", "0x010601\n");
    machine.file(&format!("{ahci}/driver/bind"), "");
    machine.file(&format!("{ahci}/remapped_nvme"), "1\n");
    let found = pci::silent_controllers(&machine.path("sys"));
    let addresses: Vec<&str> = found.iter().map(|c| c.address.as_str()).collect();
    assert_eq!(addresses, ["0000:00:0e.0", "0000:00:17.0", "0000:01:00.0"]);
    assert!(found[0].hint.unwrap().contains("VMD"));
    assert!(found[1].hint.unwrap().contains("RST"));
    assert_eq!((found[2].vendor, found[2].device, found[2].hint), (0x1000, 0x005b, None));
    assert_eq!(found[2].class_name, "RAID controller");
    assert!(pci::silent_controllers(&machine.path("nowhere")).is_empty());
}

// From here on: the real kernel.

/// Runs a tool; a failure fails the test.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A loop device over a new file of 8 MiB.
struct Loop {
    dir: TempDir,
    device: PathBuf,
}

impl Loop {
    fn new(options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("disk.img");
        create_image_file(&file, 8 * MIB).unwrap();
        let mut args = vec!["--find", "--show"];
        args.extend(options);
        args.push(file.to_str().unwrap());
        Self { device: run("losetup", &args).into(), dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    fn name(&self) -> &str {
        self.device.to_str().unwrap()
    }

    fn disk(&self) -> Disk {
        disk::open(&self.device, None).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The kernel keeps the flag for whoever gets this loop device next.
        let _ = disk::set_read_only(&self.device, false);
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

#[test]
fn loop_device_is_described_as_blockdev_does() {
    let device = Loop::new(&["-b", "4096"]);
    let disk = device.disk();
    assert_eq!(disk.size.to_string(), run("blockdev", &["--getsize64", device.name()]));
    assert_eq!(disk.logical_sector.to_string(), run("blockdev", &["--getss", device.name()]));
    assert_eq!(disk.physical_sector.to_string(), run("blockdev", &["--getpbsz", device.name()]));
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
    let target = Target::open(&device.disk()).unwrap();
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
    let first = Target::open(&disk).unwrap();
    let second = Target::open(&disk);
    assert!(matches!(second, Err(DiskError::Refused { .. })), "{second:?}");
    drop(first);
    Target::open(&disk).unwrap();
}

/// At boot every disk is protected; only the target is lifted, and only while it is written.
#[test]
fn write_protection_is_lifted_and_put_back() {
    let device = Loop::new(&[]);
    disk::set_read_only(&device.device, true).unwrap();
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    let disk = device.disk();
    assert!(disk.read_only);
    let source = Source::open(&device.device).unwrap();
    let mut first = [1; 16];
    source.read_at(0, &mut first).unwrap();
    assert_eq!(first, [0; 16]);
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    let target = Target::open(&disk).unwrap();
    assert_eq!(run("blockdev", &["--getro", device.name()]), "0");
    // Not flushed: what the page cache holds must reach the device all the same.
    target.write_at(4 * MIB, &[0x5a; 1 << 20]).unwrap();
    drop(target);
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    let written = fs::read(device.file()).unwrap();
    assert!(written[4 << 20..5 << 20].iter().all(|byte| *byte == 0x5a));
    // A refused target leaves the protection as it was.
    let other = Disk { serial: Some("another".into()), ..disk };
    assert!(matches!(Target::open(&other), Err(DiskError::Changed { .. })));
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    // A device that was not protected is not protected afterwards.
    disk::set_read_only(&device.device, false).unwrap();
    drop(Target::open(&device.disk()).unwrap());
    assert_eq!(run("blockdev", &["--getro", device.name()]), "0");
}

#[test]
fn device_that_is_read_only_by_itself_is_refused() {
    let device = Loop::new(&["-r"]);
    let before = fs::read(device.file()).unwrap();
    let refused = Target::open(&device.disk());
    assert!(matches!(refused, Err(DiskError::Refused { .. })), "{refused:?}");
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    assert!(fs::read(device.file()).unwrap() == before);
}

#[test]
fn mounted_disk_is_refused_and_named() {
    let device = Loop::new(&[]);
    run("mkfs.ext4", &["-q", device.name()]);
    let dir = device.dir.path().join("mounted here");
    let guard = mount::mount_read_only(&device.device, "ext4", &dir).unwrap();
    assert_eq!(guard.dir(), dir);
    assert!(dir.join("lost+found").is_dir());
    let disk = device.disk();
    let used = Use::Mounted { device: device.device.clone(), mountpoint: dir.clone() };
    assert_eq!(disk.uses, [used]);
    let refused = Target::open(&disk).unwrap_err().to_string();
    assert!(refused.contains("is mounted at"), "{refused}");
    guard.unmount().unwrap();
    assert!(!dir.join("lost+found").exists());
    Target::open(&device.disk()).unwrap();
}

#[test]
fn filesystems_without_a_journal_are_mounted_too() {
    let device = Loop::new(&[]);
    run("mkfs.ext2", &["-q", device.name()]);
    let dir = device.dir.path().join("m");
    mount::mount_read_only(&device.device, "ext2", &dir).unwrap().unmount().unwrap();
    assert!(mount::can_mount_read_only("ext2") && !mount::can_mount_read_only("crypto_luks"));
    assert!(mount::can_mount_read_write("ext2") && !mount::can_mount_read_write("iso9660"));
}

/// A filesystem with a journal to replay is mounted without one bit being changed.
#[test]
fn read_only_mount_replays_no_journal() {
    let device = Loop::new(&[]);
    run("mkfs.ext4", &["-q", "-O", "has_journal", device.name()]);
    let dir = device.dir.path().join("m");
    let guard = mount::mount_read_write(&device.device, &device.device, "ext4", &dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    File::open(dir.join("file")).unwrap().sync_all().unwrap();
    // What a power cut at this moment would leave behind.
    let cut = device.dir.path().join("cut.img");
    run("dd", &[&format!("if={}", device.name()), &format!("of={}", cut.display()), "bs=1M"]);
    drop(guard);
    let features = run("dumpe2fs", &["-h", cut.to_str().unwrap()]);
    assert!(features.contains("needs_recovery"), "{features}");
    let before = fs::read(&cut).unwrap();
    let second: PathBuf = run("losetup", &["--find", "--show", cut.to_str().unwrap()]).into();
    let mounted = mount::mount_read_only(&second, "ext4", &dir);
    let unmounted = mounted.map(|guard| guard.unmount());
    run("losetup", &["-d", second.to_str().unwrap()]);
    unmounted.unwrap().unwrap();
    assert!(fs::read(&cut).unwrap() == before);
}

#[test]
fn mount_for_writing_lifts_the_protection_for_its_time() {
    let device = Loop::new(&[]);
    run("mkfs.ext4", &["-q", device.name()]);
    disk::set_read_only(&device.device, true).unwrap();
    let dir = device.dir.path().join("store");
    {
        let guard = mount::mount_read_write(&device.device, &device.device, "ext4", &dir).unwrap();
        fs::write(guard.dir().join("image"), "bytes").unwrap();
        assert_eq!(run("blockdev", &["--getro", device.name()]), "0");
    }
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
    let guard = mount::mount_read_only(&device.device, "ext4", &dir).unwrap();
    assert_eq!(fs::read_to_string(dir.join("image")).unwrap(), "bytes");
    assert!(fs::write(dir.join("image"), "other").is_err());
    drop(guard);
    let unknown = mount::mount_read_only(&device.device, "zfs_member", &dir);
    assert!(matches!(unknown, Err(DiskError::CannotMount { .. })), "{unknown:?}");
    // A failed mount leaves the protection as it was.
    assert!(mount::mount_read_write(&device.device, &device.device, "vfat", &dir).is_err());
    assert_eq!(run("blockdev", &["--getro", device.name()]), "1");
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
    let target = Target::open(&disk).unwrap();
    target.write_at(MIB, &[7; 8192]).unwrap();
    assert!(target.write_at(3 * MIB, &[7]).is_err());
    assert!(target.discard(MIB, 4096) && !target.discard(3 * MIB, 4096));
    target.drop_caches().unwrap();
    target.re_read_table().unwrap();
    assert_eq!(target.read_vec(MIB, 4096).unwrap(), [0; 4096]);
    assert_eq!(target.read_vec(MIB + 4096, 4096).unwrap(), [7; 4096]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 3 * MIB);
    assert!(matches!(Target::open(&disk), Err(DiskError::Refused { .. })));
    drop(target);
    Target::open(&disk).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"x", 4 * MIB).unwrap();
    assert!(matches!(Target::open(&disk), Err(DiskError::Changed { .. })));
}

#[test]
fn image_file_behind_a_loop_device_is_in_use() {
    let device = Loop::new(&[]);
    let disk = disk::open(&device.file(), None).unwrap();
    let real = device.file().canonicalize().unwrap();
    assert_eq!(disk.uses, [Use::Holder { device: real, holder: device.device.clone() }]);
    let refused = Target::open(&disk).unwrap_err().to_string();
    assert!(refused.contains(device.name()), "{refused}");
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
