//! A machine with fixed disks, places and images.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::files;
use lifeboat::disk::{Agreement, Disk, DiskKind, Transport, Use};
use lifeboat::image::damage::{BadRange, Damage, DamagedFile};
use lifeboat::image::manifest::Stored;
use lifeboat::operation::{
    Browsed, CaptureOutlook, Container, Control, FoundRepository, ImagePartition, ImagePlace,
    ImageSummary, LayoutEntry, LockedDisk, Passphrase, Place, Preview, Reading, SourceSummary,
    Space, Survey, Unpartitioned, Volume,
};
use lifeboat::table::{Scheme, Table};
use lifeboat::tui::machine::Machine;
use lifeboat::volume::{Filesystem, Kind, LogicalVolume, State, VolumeKey};
use time::OffsetDateTime;

use lifeboat::tui::model::{
    CaptureOrder, CapturePlan, DiskList, Facts, Failure, Job, Keep, Log, Outcome, Places, Planned,
    PrepareOrder, PreparePlan, Repository, StickOrder, StickPlan, WriteOrder, WritePlan,
};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// The passphrase of the repository that has one.
pub const SECRET: &str = "high tide";

/// What the menu finds.
pub struct Fake {
    pub facts: Facts,
    pub list: DiskList,
    pub places: Vec<Place>,
    pub images: Vec<ImageSummary>,
    pub refuse_restore: Option<Failure>,
    /// The images of other disks that a logical volume needs.
    pub others: Vec<ImageSummary>,
    /// What the image to be restored lacks.
    pub lacking: Vec<String>,
    pub created: Mutex<Vec<Repository>>,
    pub forgotten: Mutex<Vec<String>>,
    pub writes_planned: Mutex<Vec<WriteOrder>>,
    /// A LUKS container in a file.
    pub container: Option<PathBuf>,
    /// Large stretches outside of all partitions of the disk to capture.
    pub unpartitioned: Option<Unpartitioned>,
    /// Whether the clock is wrong until it is set.
    pub wrong_clock: bool,
    /// What the clock was set to.
    pub clock: Mutex<Option<OffsetDateTime>>,
    /// The disks that were prepared.
    pub prepared: Mutex<Vec<PrepareOrder>>,
    /// What is found on the data partition of the running stick, once it is there.
    pub on_stick: Vec<FoundRepository>,
    /// The sticks that got their data partition.
    pub sticks: Mutex<Vec<StickOrder>>,
}

/// A filesystem; what kind it is, is told by the content of its volume.
pub fn filesystem(label: &str, used: Option<u64>) -> Filesystem {
    Filesystem {
        kind: Kind::Ext4,
        label: (!label.is_empty()).then(|| label.into()),
        uuid: None,
        size: 0,
        block_size: 0,
        used,
        last_use: None,
        state: State::Clean,
    }
}

/// A logical volume with a filesystem.
pub fn logical_volume(name: &str, size: u64, filesystem: Filesystem) -> LogicalVolume {
    LogicalVolume {
        group: "vg".into(),
        name: name.into(),
        uuid: name.into(),
        size,
        filesystem: Some(filesystem),
        inside: Vec::new(),
        complete: true,
        plain: true,
    }
}

/// Makes a volume one of another kind, which tells nothing of itself.
pub fn turn_into(volume: &mut Volume, content: &str) {
    volume.content = content.into();
    volume.filesystem = Some(filesystem("", None));
}

fn volume(
    number: u32,
    start: u64,
    size: u64,
    content: &str,
    label: &str,
    used: Option<u64>,
) -> Volume {
    Volume {
        partition: Some(number),
        start,
        size,
        content: content.into(),
        filesystem: (content != "unknown").then(|| filesystem(label, used)),
        ..Volume::default()
    }
}

fn laptop_volumes() -> Vec<Volume> {
    let mut volumes = vec![
        volume(1, MIB, 512 * MIB, "FAT32", "EFI", Some(33 * MIB)),
        volume(2, 513 * MIB, 16 * MIB, "unknown", "", None),
        volume(3, 529 * MIB, 280 * GIB, "NTFS", "Windows", Some(124 * GIB)),
        volume(5, 281 * GIB, 160 * GIB, "ext4", "root", Some(61 * GIB)),
        volume(6, 441 * GIB, 16 * GIB, "swap", "", Some(MIB)),
    ];
    volumes[2].filesystem.as_mut().unwrap().state = State::Hibernated("hiberfil.sys".into());
    volumes
}

/// A disk by its path, model and serial number.
fn disk([path, model, serial]: [&str; 3], transport: Transport, size: u64) -> Disk {
    let known = |text: &str| (!text.is_empty()).then(|| text.into());
    Disk {
        path: path.into(),
        kind: DiskKind::Device,
        model: known(model),
        serial: known(serial),
        wwn: None,
        size,
        logical_sector: 512,
        physical_sector: 512,
        transport,
        removable: false,
        read_only: false,
        boot_medium: false,
        uses: Vec::new(),
    }
}

/// A disk of which nothing else is to be known.
fn with_table(disk: Disk, scheme: Scheme, volumes: Vec<Volume>) -> Survey {
    let disk_id = Some("5f3a9c01".into());
    let table = Table { scheme, disk_id, ..Table::none(512, Vec::new()) };
    Survey::new(disk, table, volumes, None, &Vec::new())
}

/// A mount of a partition.
pub fn mounted(device: &str, mountpoint: &str) -> Use {
    Use::Mounted { device: device.into(), mountpoint: mountpoint.into() }
}

pub fn laptop() -> Survey {
    let who = ["/dev/sda", "Samsung SSD 870 EVO 500GB", "S5Y1NJ0R"];
    with_table(disk(who, Transport::Sata, 500_107_862_016), Scheme::Gpt, laptop_volumes())
}

/// What the plan for a disk was made for.
pub fn agreement(disk: &Survey) -> Agreement {
    Agreement::to_make(&disk.disk.path, disk.disk.size)
}

/// What names the disk that tells no serial number.
pub const NO_SERIAL: &str = "500GiB-5f3a9c01";

/// The target that the plan which comes with an order was made for.
pub fn planned_for(order: &WriteOrder) -> Option<&PathBuf> {
    order.planned.as_ref().and_then(Planned::get)
}

fn disks() -> Vec<Survey> {
    let backup = ["/dev/sdb", "WD Elements 25A3", "WXK1A48D7T30"];
    let backup = with_table(
        disk(backup, Transport::Usb, 2_000_365_289_472),
        Scheme::Gpt,
        vec![volume(1, MIB, 1862 * GIB, "ext4", "Backup", Some(700 * GIB))],
    );
    let half_written = ["/dev/nvme0n1", "KIOXIA EXCERIA G2 1TB", "72UB60FZKHLD"];
    let half_written = disk(half_written, Transport::Nvme, 1_000_204_886_016);
    let mut half_written = with_table(half_written, Scheme::None, Vec::new());
    half_written.note = Some("An interrupted restore left this disk incomplete.".into());
    let medium = ["/dev/sdc", "SanDisk Ultra", "4C530001230419"];
    let mut medium = with_table(
        disk(medium, Transport::Usb, 600 * GIB),
        Scheme::Mbr,
        vec![volume(1, MIB, 60 * MIB, "iso9660", "LIFEBOAT", None)],
    );
    medium.disk.boot_medium = true;
    let scratch = with_table(
        disk(["/dev/vda", "", ""], Transport::Virtio, 500 * GIB),
        Scheme::Mbr,
        vec![volume(1, MIB, 499 * GIB, "XFS", "scratch", Some(3 * GIB))],
    );
    vec![laptop(), backup, half_written, medium, scratch]
}

/// The place on a volume of a disk.
fn place(device: &str, disk: &Survey, volume: usize) -> Place {
    Place {
        device: device.into(),
        disk: disk.disk.clone(),
        volume: disk.volumes[volume].clone(),
        free: None,
        repositories: Vec::new(),
        writable: true,
        problem: None,
        mounted_at: None,
    }
}

fn places() -> Vec<Place> {
    let found = |folder: &str, snapshots| FoundRepository { folder: folder.into(), snapshots };
    let disks = disks();
    let mut backup = place("/dev/sdb1", &disks[1], 0);
    backup.free = Some(1162 * GIB);
    backup.repositories = vec![found("lifeboat", Some(3)), found("old/secret", Some(1))];
    let mut scratch = place("/dev/vda1", &disks[4], 0);
    scratch.free = Some(496 * GIB);
    let mut windows = place("/dev/sda3", &disks[0], 2);
    windows.problem = Some("Windows is hibernated on it".into());
    let mut root = place("/dev/sda5", &disks[0], 3);
    root.free = Some(99 * GIB);
    vec![windows, root, backup, scratch]
}

fn image(id: char, time: &str, warnings: &[&str]) -> ImageSummary {
    let partition = |volume: Volume| {
        let stored = if volume.partition == Some(6) { Stored::Nothing } else { Stored::Used };
        ImagePartition { volume, inside: Vec::new(), stored }
    };
    ImageSummary {
        id: format!("{id}3f29c51").repeat(8),
        time: time.into(),
        disk_name: "Samsung SSD 870 EVO 500GB (S5Y1NJ0R)".into(),
        model: None,
        serial: None,
        size: 500_107_862_016,
        used: 185 * GIB,
        partitions: laptop_volumes().into_iter().map(partition).collect(),
        boot_entries: Vec::new(),
        imported_from: None,
        damage: Damage::default(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        only_partitions: None,
        excluded: Vec::new(),
        missing_sectors: 0,
        incomplete: None,
        tags: Vec::new(),
        note: None,
        boot_test: None,
    }
}

/// What is told of a disk that had bad sectors.
pub fn damage_warnings() -> Vec<String> {
    let bad = |offset, len| BadRange { offset, len, errno: 61, tries: 2 };
    let file = |path: &str, bytes| DamagedFile { partition: Some(5), path: path.into(), bytes };
    let damage = Damage {
        ranges: vec![bad(290 * GIB, 1024), bad(291 * GIB, 512)],
        files: vec![file("/home/ada/letter.odt", 1024), file("/var/log/journal", 512)],
        ..Damage::default()
    };
    damage.warnings()
}

impl Fake {
    /// A started boot medium with five disks.
    pub fn new() -> Self {
        let facts = Facts {
            version: "0.1.0".into(),
            firmware: "UEFI, Secure Boot on".into(),
            host: "lifeboat".into(),
            boot_medium: true,
        };
        Self {
            facts,
            list: DiskList { signature: 1, disks: disks(), ..DiskList::default() },
            places: places(),
            images: vec![
                image('b', "2026-11-20T09:14:00Z", &["Partition 3 holds a hibernated Windows."]),
                image('a', "2026-09-02T18:40:00Z", &[]),
            ],
            refuse_restore: None,
            others: Vec::new(),
            lacking: Vec::new(),
            created: Mutex::default(),
            forgotten: Mutex::default(),
            writes_planned: Mutex::default(),
            container: None,
            unpartitioned: None,
            wrong_clock: false,
            clock: Mutex::default(),
            prepared: Mutex::default(),
            on_stick: Vec::new(),
            sticks: Mutex::default(),
        }
    }

    fn clock_is_wrong(&self) -> bool {
        self.wrong_clock && self.clock.lock().unwrap().is_none()
    }

    /// The program on a running system.
    pub fn on_a_running_system() -> Self {
        let mut fake = Self::new();
        fake.facts.boot_medium = false;
        fake.facts.firmware = "BIOS".into();
        fake
    }

    /// A machine whose controller has no driver.
    pub fn without_disks() -> Self {
        let mut fake = Self::new();
        fake.places.clear();
        fake.list = DiskList {
            signature: 1,
            controllers: vec![
                "00:17.0  8086:a282  RAID bus controller, no driver".into(),
                "00:0e.0  8086:9a0b  Volume management device (VMD), no driver".into(),
            ],
            hints: vec![
                "Intel RST or VMD hides the disks behind a RAID mode. In the firmware setup, set \
                 the storage mode to AHCI, or switch VMD off; Windows may need its own \
                 preparation for that."
                    .into(),
            ],
            ..DiskList::default()
        };
        fake
    }
}

impl Machine for Fake {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn disks(&self, known: Option<u64>) -> Result<Option<DiskList>, Failure> {
        Ok((known != Some(self.list.signature)).then(|| self.list.clone()))
    }

    fn places(&self, _control: Control<'_>) -> Result<Places, Failure> {
        Ok(Places { found: self.places.clone(), disks: self.list.disks.clone() })
    }

    fn plan_prepare(&self, order: &PrepareOrder) -> Result<PreparePlan, Failure> {
        if order.args.label.as_ref().is_some_and(|label| label.len() > 16) {
            return Err(Failure { text: "The label is too long.".into(), ..Failure::default() });
        }
        let lost = order.disk.volumes.iter().map(|volume| volume.content.clone()).collect();
        Ok(PreparePlan { lost, agreement: Some(agreement(&order.disk)), hold: None })
    }

    fn prepare(&self, order: &PrepareOrder, _control: Control<'_>) -> Result<Place, Failure> {
        self.prepared.lock().unwrap().push(order.clone());
        let kind = order.args.filesystem.to_string();
        let label = order.args.label.clone().unwrap_or_default();
        let disk = order.disk.disk.clone();
        Ok(Place {
            device: format!("{}p1", disk.path.display()).into(),
            free: Some(disk.size - 100 * MIB),
            volume: volume(1, MIB, disk.size - 2 * MIB, &kind, &label, None),
            disk,
            repositories: Vec::new(),
            writable: true,
            problem: None,
            mounted_at: None,
        })
    }

    fn plan_stick(&self, order: &StickOrder) -> Result<StickPlan, Failure> {
        if order.args.iso.as_ref().is_some_and(|iso| iso.ends_with("wrong.iso")) {
            return Err(Failure {
                text: "/wrong.iso is no ISO of Lifeboat.".into(),
                next_step: Some("Name an ISO of Lifeboat.".into()),
                ..Failure::default()
            });
        }
        Ok(StickPlan {
            said: vec!["It gets an empty partition for images: 28.6 GiB with exFAT.".into()],
            lost: order.disk.volumes.iter().map(|volume| volume.content.clone()).collect(),
            agreement: Some(agreement(&order.disk)),
            hold: None,
        })
    }

    fn use_stick(&self, order: &StickOrder, _control: Control<'_>) -> Result<Place, Failure> {
        self.sticks.lock().unwrap().push(order.clone());
        let disk = order.disk.disk.clone();
        Ok(Place {
            device: format!("{}3", disk.path.display()).into(),
            free: Some(disk.size - GIB),
            volume: volume(3, 256 * MIB, disk.size - GIB, "exFAT", "LIFEBOAT", None),
            disk,
            repositories: self.on_stick.clone(),
            writable: true,
            problem: None,
            mounted_at: None,
        })
    }

    fn images(&self, repository: &Repository) -> Result<Vec<ImageSummary>, Failure> {
        let given = repository.passphrase.as_ref().map(|passphrase| passphrase.reveal());
        if repository.title.contains("secret") && given != Some(SECRET) {
            return Err(Failure { needs_passphrase: true, ..Failure::default() });
        }
        if repository.title.contains("nowhere") {
            return Err(Failure {
                text: "opening the repository /nowhere: no such folder".into(),
                next_step: Some("Check the path, or create a repository there.".into()),
                ..Failure::default()
            });
        }
        let forgotten = self.forgotten.lock().unwrap();
        Ok(self.images.iter().filter(|image| !forgotten.contains(&image.id)).cloned().collect())
    }

    fn create(&self, repository: &Repository) -> Result<(), Failure> {
        if repository.title.starts_with("taken") {
            return Err(Failure {
                text: "creating the repository: the folder is not empty".into(),
                next_step: Some("Choose another name.".into()),
                ..Failure::default()
            });
        }
        self.created.lock().unwrap().push(repository.clone());
        Ok(())
    }

    fn unlock(
        &self,
        _disk: &Path,
        container: &Container,
        passphrase: &Passphrase,
    ) -> Result<VolumeKey, Failure> {
        // Keys come from containers only: a real one stands in for those of the fixed disks.
        let number = container.partition.unwrap_or_default();
        let disk = LockedDisk::open(self.container.as_deref().unwrap(), None).unwrap();
        let opened = disk.unlock(&disk.containers()[0], passphrase.reveal().as_bytes());
        opened.map_err(|error| Failure {
            text: format!("Partition {number} stays locked."),
            next_step: error.is_refusal().then(|| "Try again.".into()),
            ..Failure::default()
        })
    }

    fn plan_capture(
        &self,
        order: &CaptureOrder,
        _control: Control<'_>,
    ) -> Result<CapturePlan, Failure> {
        let reading = order.args.source.reading;
        let is_whole = reading == Reading::Whole;
        Ok(CapturePlan {
            planned: None,
            source: SourceSummary {
                read: if is_whole { order.disk.disk.size } else { 185 * GIB },
                skipped: if is_whole { 0 } else { 131 * GIB },
                unused: if is_whole { 0 } else { 131 * GIB },
                unpartitioned: self
                    .unpartitioned
                    .clone()
                    .map(|found| Unpartitioned { left_out: reading.skips_unpartitioned(), ..found }),
                boot_entries: Vec::new(),
                left_out: Vec::new(),
                has_unclosed_ntfs: true,
            },
            outlook: CaptureOutlook {
                space: Space {
                    at_most: 186 * GIB,
                    fresh: 12 * GIB,
                    since: Some("2026-09-02T18:40:11Z".into()),
                    likely_least: 12 * GIB / 100 * 30,
                    likely_most: 12 * GIB / 100 * 95,
                    free: Some(1162 * GIB),
                },
                warnings: vec![
                    "Windows is hibernated on partition 3: the image holds it as it is, and it will \
                     wake up from this state."
                        .into(),
                ],
                clock_is_doubted: self.clock_is_wrong(),
            },
            wrong_clock: self.clock_is_wrong().then(|| "2001-01-01 00:07 UTC".into()),
        })
    }

    fn set_clock(&self, time: OffsetDateTime) -> Result<(), Failure> {
        *self.clock.lock().unwrap() = Some(time);
        Ok(())
    }

    fn plan_write(&self, order: &WriteOrder, _control: Control<'_>) -> Result<WritePlan, Failure> {
        self.writes_planned.lock().unwrap().push(order.clone());
        if let Some(failure) = &self.refuse_restore {
            return Err(failure.clone());
        }
        let entry = |number, start, size, text: &str, kept| LayoutEntry {
            number: Some(number),
            start,
            size,
            text: text.into(),
            kept,
        };
        Ok(WritePlan {
            planned: Some(Planned::new(order.disk.disk.path.clone())),
            with: self.others.clone(),
            preview: Preview {
                before: vec![entry(1, MIB, 499 * GIB, "xfs scratch 3.0/499 GiB", false)],
                after: vec![
                    entry(1, MIB, 512 * MIB, "fat32 EFI 33.0/512 MiB", false),
                    entry(2, 513 * MIB, 16 * MIB, "unknown", false),
                    entry(3, 529 * MIB, 280 * GIB, "ntfs Windows 124/280 GiB", false),
                    entry(5, 281 * GIB, 160 * GIB, "ext4 root 61.0/160 GiB", false),
                    entry(6, 441 * GIB, 16 * GIB, "swap", false),
                ],
                writes: 185 * GIB,
                lost: vec!["xfs \"scratch\" on partition 1, 3.0 GiB in use, is lost.".into()],
                notices: [
                    &["The backup partition table moves to the end of the larger disk.".into()],
                    &self.lacking[..],
                ]
                .concat(),
            },
        })
    }

    fn run(&self, _job: &Job, _control: Control<'_>) -> Result<Outcome, Failure> {
        Err(Failure { text: "jobs are ended by the test".into(), ..Failure::default() })
    }

    fn forget(&self, _repository: &Repository, image: &ImageSummary) -> Result<(), Failure> {
        self.forgotten.lock().unwrap().push(image.id.clone());
        Ok(())
    }

    fn plan_free(&self, _repository: &Repository, keep: Keep) -> Result<Vec<String>, Failure> {
        // The list is the newest first; all images of one disk.
        let kept = if keep == Keep::One { 1 } else { 3 };
        Ok(self.images.iter().skip(kept).map(|image| image.id.clone()).collect())
    }

    fn browse(
        &self,
        _: &Repository,
        place: &ImagePlace,
        _: Control<'_>,
    ) -> Result<Browsed, Failure> {
        files::browsed(place)
    }

    fn find_files(
        &self,
        _: &Repository,
        _: &ImagePlace,
        name: &str,
        _: Control<'_>,
    ) -> Result<Browsed, Failure> {
        files::found(name)
    }

    fn peek(&self, _: &Repository, _: &ImagePlace, _: Control<'_>) -> Result<String, Failure> {
        Ok("Dear reader,\nthis is a file.\n".into())
    }

    fn keep_log(&self, _: &Repository) -> Result<String, Failure> {
        Ok("logs/2026-07-22T100000Z-77aa01bc.log".into())
    }

    fn log(&self) -> Result<Log, Failure> {
        let text = (1..=60).map(|n| format!("line {n} of the log\n")).collect();
        Ok(Log { path: "/var/log/lifeboat.log".into(), text })
    }
}
