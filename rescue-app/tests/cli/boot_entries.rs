//! What a restored disk needs besides its bytes so that firmware starts it. The firmware's variables are files in
//! a folder; the entries in them are those that `efibootmgr` made in a virtual machine.

use std::fs;
use std::path::{Path, PathBuf};

use common::{Loop, noise, tool};
use serde_json::Value;

use crate::support::{Bench, MIB, Run, put};

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];

/// The ESP that the entries are of: 1 MiB from the start of the disk, 40 MiB.
const ESP_UUID: &str = "0F3A1B2C-4D5E-4F60-8172-93A4B5C6D7E8";
const OTHER_UUID: &str = "1F3A1B2C-4D5E-4F60-8172-93A4B5C6D7E8";
const ESP_SIZE: u64 = 40 * MIB;

/// `efibootmgr -c -p 1 -L debian -l '\EFI\debian\shimx64.efi'`, behind the attributes.
const DEBIAN: &str = "010000006200640065006200690061006e00000004012a00010000000008000000000000004001000000\
    00002c1b3a0f5e4d604f817293a4b5c6d7e80202040434005c004500460049005c006400650062006900\
    61006e005c007300680069006d007800360034002e0065006600690000007fff0400";
/// `efibootmgr --full-dev-path -c -p 1 -L 'Full path' -l '\EFI\debian\grubx64.efi'`.
const FULL_PATH: &str = "010000007400460075006c006c0020007000610074006800000002010c00d041030a0000000001010600\
    000204012a0001000000000800000000000000400100000000002c1b3a0f5e4d604f817293a4b5c6d7e8\
    0202040434005c004500460049005c00640065006200690061006e005c00670072007500620078003600\
    34002e0065006600690000007fff0400";
/// `efibootmgr -c -p 1 -L Größe -l '\EFI\Microsoft\Boot\bootmgfw.efi' -u WINDOWS` on an MBR disk with the signature
/// 0xdeadbeef.
const ON_MBR: &str = "01000000740047007200f600df006500000004012a0001000000000800000000000000a0000000000000\
    efbeadde0000000000000000000000000101040446005c004500460049005c004d006900630072006f00\
    73006f00660074005c0042006f006f0074005c0062006f006f0074006d006700660077002e0065006600\
    690000007fff0400570049004e0044004f0057005300";
/// OVMF's own, which is on no disk.
const UI_APP: &str = "090100002c0055006900410070007000000004071400c9bdb87cebf8344faaea3ee4af6516a104061400\
    21aa2c4614760345836e8ab6f46623317fff0400";

/// The node of the partition in these entries, behind the attributes of a variable.
const DRIVE_IN_DEBIAN: std::ops::Range<usize> = 20..62;

/// A folder of firmware variables.
pub struct Firmware(pub PathBuf);

impl Firmware {
    pub fn new(bench: &Bench, name: &str) -> Self {
        let folder = bench.path(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder).with("Boot0000", &hex(UI_APP)).with("BootOrder", &[0, 0])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}-{GLOBAL}"))
    }

    pub fn with(self, name: &str, data: &[u8]) -> Self {
        fs::write(self.path(name), [&ATTRIBUTES, data].concat()).unwrap();
        self
    }

    /// A variable without its attributes, which are those of a boot entry.
    fn data(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.path(name)).unwrap();
        assert_eq!(bytes[..4], ATTRIBUTES, "{name}");
        bytes[4..].to_vec()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = names
            .map(|it| {
                it.unwrap().file_name().into_string().unwrap().replace(&format!("-{GLOBAL}"), "")
            })
            .collect();
        names.sort();
        names
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The beginning of a program for such processors (Microsoft, "PE Format").
fn program(machine: u16, seed: u64) -> Vec<u8> {
    let mut bytes = noise(seed, 5000);
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c..0x40].copy_from_slice(&0x80u32.to_le_bytes());
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
    bytes
}

const X64: u16 = 0x8664;

/// What Debian installs.
const DEBIAN_FILES: [(&str, u16); 4] = [
    ("EFI/debian/shimx64.efi", X64),
    ("EFI/debian/grubx64.efi", X64),
    ("EFI/debian/mmx64.efi", X64),
    ("EFI/debian/fbx64.efi", X64),
];

/// [`esp_disk`] with programs for such processors.
fn disk(bench: &Bench, files: &[(&str, u16)]) {
    let files =
        files.iter().zip(0..).map(|((name, machine), seed)| (*name, program(*machine, seed)));
    esp_disk(bench, &files.collect::<Vec<_>>());
}

/// A disk of 64 MiB with an ESP that holds files, and a partition behind it: always the same one.
pub fn esp_disk(bench: &Bench, files: &[(&str, Vec<u8>)]) {
    let path = bench.path("disk");
    fs::write(&path, vec![0; 64 << 20]).unwrap();
    let table = format!(
        "label: gpt\nlabel-id: {OTHER_UUID}\nstart=2048,size=40M,type=uefi,uuid={ESP_UUID}\n\
         size=4M,type=linux,uuid={OTHER_UUID}"
    );
    common::tool_with_input("sfdisk", &["-q", path.to_str().unwrap()], table);
    let esp = bench.arg("esp");
    fs::write(&esp, vec![0; usize::try_from(ESP_SIZE).unwrap()]).unwrap();
    tool("mkfs.fat", &["-F", "32", "-s", "1", "-i", "4711BEEF", &esp]);
    let mut folders = Vec::new();
    for (name, bytes) in files {
        let parts: Vec<&str> = name.split('/').collect();
        for end in 1..parts.len() {
            let folder = parts[..end].join("/");
            if !folders.contains(&folder) {
                tool("mmd", &["-i", &esp, &format!("::{folder}")]);
                folders.push(folder);
            }
        }
        let from = bench.arg("program");
        fs::write(&from, bytes).unwrap();
        tool("mcopy", &["-i", &esp, &from, &format!("::{name}")]);
    }
    put(&path, MIB, Path::new(&esp));
}

/// Captured on a machine whose firmware has both entries of the disk, the second one first.
fn captured(bench: &Bench) {
    let firmware = Firmware::new(bench, "captured")
        .with("Boot0001", &hex(DEBIAN))
        .with("Boot0002", &hex(FULL_PATH))
        .with("BootOrder", &[2, 0, 0, 0, 1, 0]);
    let plan = run(bench, &firmware, &["capture", &bench.arg("disk"), "--plan"]).ended(0).stdout;
    assert!(plan.contains("keeps the firmware's boot entries \"debian\""), "{plan}");
    run(bench, &firmware, &["capture", &bench.arg("disk")]).ended(0);
}

fn run(bench: &Bench, firmware: &Firmware, args: &[&str]) -> Run {
    Run::from(bench.command(args).env("LIFEBOAT_EFIVARS", &firmware.0).output().unwrap())
}

/// A blank disk to restore to.
pub fn target(bench: &Bench, mebibytes: u64) -> Loop {
    let file = bench.path("target");
    fs::File::create(&file).unwrap().set_len(mebibytes * MIB).unwrap();
    Loop::new(&file)
}

pub fn plan(bench: &Bench, firmware: &Firmware, onto: &str, more: &[&str]) -> Value {
    let args = [&["restore", "latest", onto, "--plan", "--json"], more].concat();
    run(bench, firmware, &args).ended(0).result()
}

pub fn restore(bench: &Bench, firmware: &Firmware, onto: &str, more: &[&str]) -> Value {
    let word = plan(bench, firmware, onto, more)["erase"].as_str().unwrap().to_owned();
    let args = [&["restore", "latest", onto, "--erase", &word, "--json"], more].concat();
    run(bench, firmware, &args).ended(0).result()
}

#[test]
fn a_machine_without_an_entry_for_the_restored_disk_gets_those_of_the_captured_one() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES);
    captured(&bench);
    let told = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(told.contains("\"debian\" (\\EFI\\debian\\shimx64.efi)"), "{told}");
    assert!(told.contains("\"Full path\" (\\EFI\\debian\\grubx64.efi)"), "{told}");
    assert!(!told.contains("UiApp"), "{told}");

    let firmware = Firmware::new(&bench, "new");
    let onto = target(&bench, 64);
    let notices = plan(&bench, &firmware, onto.name(), &[])["notices"].to_string();
    assert!(notices.contains("has no boot entry for what is written"), "{notices}");
    assert_eq!(firmware.names(), ["Boot0000", "BootOrder"], "a plan writes nothing");
    let report = restore(&bench, &firmware, onto.name(), &[]);
    assert!(report["booting"].to_string().contains("Boot0001, Boot0002"), "{report}");
    assert_eq!(firmware.names(), ["Boot0000", "Boot0001", "Boot0002", "BootOrder"]);
    assert_eq!(firmware.data("BootOrder"), [1, 0, 2, 0, 0, 0]);
    assert_eq!(firmware.data("Boot0000"), hex(UI_APP));
    // In the order that they had; without the way by which the old disk was reached, 18 bytes.
    let debian = hex(DEBIAN);
    assert!(firmware.data("Boot0002") == debian, "not as it was");
    let mut short = hex(FULL_PATH);
    let node = short.windows(42).position(|it| *it == debian[DRIVE_IN_DEBIAN]).unwrap();
    short.drain(node - 18..node);
    short[4] -= 18;
    assert!(firmware.data("Boot0001") == short, "{:x?}", firmware.data("Boot0001"));

    let again = plan(&bench, &firmware, onto.name(), &[]);
    assert!(again["booting"]["entries"].is_null(), "{again}");
}

#[test]
fn where_partitions_move_entries_name_their_new_places() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES);
    captured(&bench);
    let firmware = Firmware::new(&bench, "new");
    let onto = target(&bench, 64);
    restore(&bench, &firmware, onto.name(), &["--size-of", "1=41M"]);
    let mut entry = hex(DEBIAN);
    let listed = tool("sfdisk", &["-J", onto.name()]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let esp = &listed["partitiontable"]["partitions"][0];
    assert_eq!(esp["size"], 41 * 2048);
    let sectors = |field: &str| esp[field].as_u64().unwrap().to_le_bytes();
    entry[DRIVE_IN_DEBIAN][8..16].copy_from_slice(&sectors("start"));
    entry[DRIVE_IN_DEBIAN][16..24].copy_from_slice(&sectors("size"));
    assert!(firmware.data("Boot0002") == entry, "{:x?}", firmware.data("Boot0002"));
}

#[test]
fn a_partition_alone_is_started_where_it_was_put() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES);
    captured(&bench);
    let firmware = Firmware::new(&bench, "new");
    let onto = target(&bench, 96);
    // No kernel reads the table of a loop device by itself: this is a table and nothing else.
    let (uuid, other) =
        ("2C1B3A0F-0001-0002-8003-000000000004", "3C1B3A0F-0001-0002-8003-000000000004");
    let table = format!(
        "label: gpt\n2: start=2048,size=8M,type=linux,uuid={other}\n\
         1: start=32768,size=48M,type=uefi,uuid={uuid}"
    );
    common::tool_with_input("sfdisk", &["-q", "--no-reread", onto.name()], table);
    restore(&bench, &firmware, onto.name(), &["--partitions", "1"]);
    let mut entry = hex(DEBIAN);
    let node = &mut entry[DRIVE_IN_DEBIAN];
    node[8..16].copy_from_slice(&32768u64.to_le_bytes());
    node[16..24].copy_from_slice(&(48 * 2048u64).to_le_bytes());
    node[24..40].copy_from_slice(&hex("0f3a1b2c010002008003000000000004"));
    assert!(firmware.data("Boot0002") == entry, "{:x?}", firmware.data("Boot0002"));
}

#[test]
fn without_entries_in_the_image_the_installed_boot_loader_gets_one() {
    let bench = Bench::new();
    disk(&bench, &[&[("EFI/Microsoft/Boot/bootmgfw.efi", X64)], &DEBIAN_FILES[..]].concat());
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    let firmware = Firmware::new(&bench, "new");
    let onto = target(&bench, 64);
    restore(&bench, &firmware, onto.name(), &[]);
    assert_eq!(firmware.names(), ["Boot0000", "Boot0001", "BootOrder"]);
    assert!(firmware.data("Boot0001") == hex(DEBIAN), "{:x?}", firmware.data("Boot0001"));
    assert_eq!(firmware.data("BootOrder"), [1, 0, 0, 0]);
    // Where firmware looks by itself nothing else is needed.
    let bench = Bench::new();
    disk(&bench, &[("EFI/BOOT/BOOTX64.EFI", X64)]);
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    let firmware = Firmware::new(&bench, "new");
    restore(&bench, &firmware, target(&bench, 64).name(), &[]);
    assert_eq!(firmware.names(), ["Boot0000", "BootOrder"]);
}

#[test]
fn entries_on_mbr_disks_keep_what_their_programs_are_given() {
    let bench = Bench::new();
    let path = bench.arg("disk");
    esp_disk(&bench, &[("EFI/Microsoft/Boot/bootmgfw.efi", program(X64, 1))]);
    let table = "label: dos\nlabel-id: 0xdeadbeef\nstart=2048,size=40M,type=ef";
    common::tool_with_input("sfdisk", &["-q", &path], table);
    let firmware = Firmware::new(&bench, "captured").with("Boot0003", &hex(ON_MBR));
    run(&bench, &firmware, &["capture", &path]).ended(0);
    let firmware = Firmware::new(&bench, "new");
    let onto = target(&bench, 64);
    restore(&bench, &firmware, onto.name(), &["--layout", "keep"]);
    // The partition of the test is larger than that of the entry.
    let mut entry = hex(ON_MBR);
    let at = entry.windows(8).position(|it| *it == 40960u64.to_le_bytes()).unwrap();
    entry[at..at + 8].copy_from_slice(&(40 * 2048u64).to_le_bytes());
    assert!(firmware.data("Boot0001") == entry, "{:x?}", firmware.data("Boot0001"));
    assert_eq!(firmware.data("BootOrder"), [1, 0, 0, 0]);
}

#[test]
fn a_machine_that_has_an_entry_for_the_disk_gets_none() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES);
    captured(&bench);
    let onto = target(&bench, 64);
    let other = Firmware::new(&bench, "other").with("Boot0007", &hex(FULL_PATH));
    restore(&bench, &other, onto.name(), &[]);
    assert_eq!(other.names(), ["Boot0000", "Boot0007", "BootOrder"]);
    assert_eq!(other.data("BootOrder"), [0, 0]);
    let refusing = Firmware::new(&bench, "refusing");
    let report = restore(&bench, &refusing, onto.name(), &["--no-nvram"]);
    assert_eq!(refusing.names(), ["Boot0000", "BootOrder"], "{report}");
}

#[test]
fn only_entries_of_programs_that_are_there_count() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES[..1]);
    captured(&bench);
    let onto = target(&bench, 64);
    // Of this one the program is not on the disk.
    let firmware = Firmware::new(&bench, "new").with("Boot0001", &hex(FULL_PATH));
    let plan = plan(&bench, &firmware, onto.name(), &[]);
    let entries = plan["booting"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{plan}");
    assert_eq!(entries[0]["description"], "debian");
    restore(&bench, &firmware, onto.name(), &[]);
    assert!(firmware.data("Boot0002") == hex(DEBIAN));
    assert!(firmware.data("Boot0001") == hex(FULL_PATH));
}

#[test]
fn firmware_that_refuses_costs_a_warning_and_files_are_no_business_of_it() {
    let bench = Bench::new();
    disk(&bench, &DEBIAN_FILES);
    captured(&bench);
    let onto = target(&bench, 64);
    let firmware = Firmware::new(&bench, "new");
    fs::remove_file(firmware.path("BootOrder")).unwrap();
    fs::create_dir(firmware.path("BootOrder")).unwrap();
    let report = restore(&bench, &firmware, onto.name(), &[]);
    assert!(report["warnings"].to_string().contains("did not take the boot entries"), "{report}");

    let plan = bench.run(&["restore", "latest", onto.name(), "--plan"]).ended(0).stdout;
    assert!(plan.contains("was not started by UEFI"), "{plan}");

    let firmware = Firmware::new(&bench, "untouched");
    let file = bench.arg("file");
    run(&bench, &firmware, &["restore", "latest", &file, "--erase", &file]).ended(0);
    assert_eq!(firmware.names(), ["Boot0000", "BootOrder"]);
    assert!(crate::support::same(&bench.path("disk"), &bench.path("file")));
}

/// What is planned to be put where firmware looks for a program, from where.
fn supplied(bench: &Bench, files: &[(&str, u16)]) -> Vec<(String, String)> {
    disk(bench, files);
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    let onto = target(bench, 64);
    let firmware = Firmware::new(bench, "new");
    let plan = plan(bench, &firmware, onto.name(), &[]);
    let supplies = plan["booting"]["supplies"].as_array().cloned().unwrap_or_default();
    let copies = supplies.iter().flat_map(|it| it["copies"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    copies.map(|copy| (text(&copy["from"]), text(&copy["to"]))).collect()
}

#[test]
fn a_program_is_planned_where_firmware_looks_for_one() {
    let bench = Bench::new();
    let copy = |from: &str, to: &str| {
        (format!("\\EFI\\{from}").replace('/', "\\"), format!("\\EFI\\BOOT\\{to}"))
    };
    // shim before GRUB, with what it starts, and without what would look for lists of entries.
    let expected = [
        copy("debian/grubx64.efi", "grubx64.efi"),
        copy("debian/mmx64.efi", "mmx64.efi"),
        copy("debian/shimx64.efi", "BOOTX64.EFI"),
    ];
    let windows = ("EFI/Microsoft/Boot/bootmgfw.efi", X64);
    let both = [&DEBIAN_FILES[..], &[windows]].concat();
    assert_eq!(supplied(&bench, &both), expected);
    // Nothing is put over what is there.
    let there = [&DEBIAN_FILES[..], &[("EFI/BOOT/BOOTX64.EFI", X64)]].concat();
    assert_eq!(supplied(&bench, &there), []);
    let beside = [&DEBIAN_FILES[..], &[("EFI/BOOT/grubx64.efi", X64)]].concat();
    assert_eq!(supplied(&bench, &beside), expected[1..]);
    // GRUB alone; the boot manager of Windows, on ARM too; one for other processors is not for these.
    let grub = [("EFI/arch/grubx64.efi", X64), ("EFI/arch/tools.efi", X64)];
    assert_eq!(supplied(&bench, &grub), [copy("arch/grubx64.efi", "BOOTX64.EFI")]);
    let expected = [copy("Microsoft/Boot/bootmgfw.efi", "BOOTX64.EFI")];
    assert_eq!(supplied(&bench, &[windows, ("EFI/BOOT/BOOTIA32.EFI", 0x14c)]), expected);
    let arm = [("EFI/Microsoft/Boot/bootmgfw.efi", 0xaa64)];
    let expected = [copy("Microsoft/Boot/bootmgfw.efi", "BOOTAA64.EFI")];
    assert_eq!(supplied(&bench, &arm), expected);
    assert_eq!(supplied(&bench, &[("EFI/x/readme.txt", X64), ("EFI/x/grub.efi", 1)]), []);
}

#[test]
fn the_system_that_was_started_first_comes_first() {
    let bench = Bench::new();
    let other = [("EFI/aaa/shimx64.efi", X64), ("EFI/aaa/grubx64.efi", X64)];
    disk(&bench, &[&DEBIAN_FILES[..], &other].concat());
    captured(&bench);
    let onto = target(&bench, 64);
    let plan = plan(&bench, &Firmware::new(&bench, "new"), onto.name(), &[]);
    // The entry that came first is that of GRUB without shim; shim is the one that starts it anywhere.
    let copies = plan["booting"]["supplies"][0]["copies"].as_array().unwrap();
    assert_eq!(copies.last().unwrap()["from"], "\\EFI\\debian\\shimx64.efi", "{plan}");
    let notices = plan["notices"].to_string();
    assert!(notices.contains("has no program where firmware without an entry"), "{notices}");
}
