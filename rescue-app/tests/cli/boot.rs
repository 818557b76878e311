//! Images that are started in QEMU: what its firmware and small boot sectors say of them.

use std::fs;

use common::tool;
use serde_json::Value;

use crate::support::{Bench, MIB, Run};

/// Prints the text behind it by the BIOS (int 10h, function 0Eh), then goes on behind `end`.
const PRINT: [u8; 21] = [
    0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x20, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x09, 0xb4, 0x0e, 0xbb, 0x07,
    0x00, 0xcd, 0x10, 0xeb, 0xf2,
];
/// `hlt` for ever.
const REST: &[u8] = &[0xf4, 0xeb, 0xfd];
/// Has the keyboard controller reset the machine.
const RESET: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// An image of a disk whose boot sector says `text`, and ends so.
fn captured(text: &str, end: &[u8]) -> Bench {
    let bench = Bench::new();
    let mut disk = vec![0; usize::try_from(4 * MIB).unwrap()];
    disk[..21].copy_from_slice(&PRINT);
    disk[21..21 + end.len()].copy_from_slice(end);
    disk[32..32 + text.len()].copy_from_slice(text.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(bench.path("disk"), disk).unwrap();
    bench.capture("disk");
    bench
}

fn started(bench: &Bench, more: &[&str]) -> Run {
    let args = ["verify", "latest", "--boot", "--json", "--memory", "128M"];
    bench.run(&[&args, more].concat())
}

fn listed(bench: &Bench) -> Value {
    let listed = bench.run(&["images", "--json"]).ended(0).stdout;
    serde_json::from_str::<Value>(&listed).unwrap()[0].clone()
}

#[test]
fn an_image_that_asks_for_a_login_boots_and_that_is_noted() {
    let bench = captured("Debian GNU/Linux\r\n\r\nhost login: ", REST);
    let report = started(&bench, &[]).ended(0).result();
    assert_eq!((&report["verdict"], &report["boots"]), (&"login".into(), &true.into()));
    let picture = report["picture"].as_str().unwrap();
    let kind = tool("file", &["-b", picture]);
    assert!(kind.starts_with("PNG image data, 720 x 400, 8-bit/color RGB"), "{kind}");
    let image = listed(&bench);
    assert_eq!(image["boot_test"]["verdict"], "login", "{image}");
    assert_eq!(image["boot_test"]["firmware"], "bios");
    let text = bench.run(&["images"]).ended(0).stdout;
    assert!(text.contains("[boots]"), "{text}");
    let text = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(text.contains("started 20") && text.contains("asks for a login"), "{text}");
    // Others look at the repository as before, and the note goes with the image.
    let checked = bench.restic(&["check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    bench.run(&["forget", "latest"]).ended(0);
    assert_eq!(fs::read_dir(bench.path("repo/boot-tests")).unwrap().count(), 0);
}

#[test]
fn what_does_not_boot_is_told_with_its_cause() {
    let no_loader = "does not boot: the firmware found no loader";
    let panic = "Kernel panic - not syncing: VFS: Unable to mount root fs";
    let cases = [
        ("grub rescue> ", REST, "loader", "the boot loader stopped: grub rescue>"),
        (panic, REST, "panic", "VFS: Unable to mount root fs"),
        ("\r\n(initramfs) ", REST, "emergency", "for repairs only: (initramfs)"),
        ("Starting", RESET, "ended", "started anew"),
        ("", REST, "no-loader", no_loader),
    ];
    for (text, end, verdict, words) in cases {
        let bench = captured(text, end);
        let report = started(&bench, &[]).ended(3).result();
        assert_eq!((&report["verdict"], &report["boots"]), (&verdict.into(), &false.into()));
        let shown = bench.run(&["show", "latest"]).ended(0).stdout;
        assert!(shown.contains(words), "{shown}");
        assert!(bench.run(&["images"]).stdout.contains("[does not boot]"));
    }
    // Without a boot sector, by either firmware.
    let bench = Bench::new();
    fs::write(bench.path("disk"), vec![0; 4 << 20]).unwrap();
    bench.capture("disk");
    for firmware in ["bios", "uefi"] {
        let report = started(&bench, &["--firmware", firmware]).ended(3).result();
        assert_eq!(report["verdict"], "no-loader", "{report}");
        assert_eq!(report["firmware"], firmware);
    }
}

#[test]
fn a_screen_that_settles_without_a_failure_counts_and_one_that_does_not_is_not_waited_for() {
    let bench = captured("Welcome", REST);
    let report = started(&bench, &[]).ended(0).result();
    assert_eq!(report["verdict"], "settled", "{report}");
    let report = started(&bench, &["--boot-timeout", "1"]).ended(3).result();
    assert_eq!(report["verdict"], "unsettled", "{report}");
}

#[test]
fn a_person_sees_its_serial_line_and_the_image_stays_as_it_is() {
    let bench = captured("Hello from the image", RESET);
    let before = bench.restic(&["snapshots", "--json"]);
    // What is on its way to the serial line when the machine ends is lost.
    let args = ["boot", "latest", "--serial", "--memory", "128M"];
    let ran = bench.run(&args).ended(0);
    assert!(ran.stdout.contains("Hello from"), "{}", ran.stdout);
    assert_eq!(bench.restic(&["snapshots", "--json"]), before);
    bench.run(&["verify"]).ended(0);
}

#[test]
fn without_qemu_it_is_refused_with_the_name_of_the_package() {
    let bench = captured("Welcome", REST);
    let hide = "mount --bind /dev/null /usr/bin/qemu-system-x86_64 && exec \"$@\"";
    let mut command = common::command("unshare");
    command.args(["-m", "sh", "-c", hide, "sh", env!("CARGO_BIN_EXE_lifeboat")]);
    command.args(["boot", "latest", "--repo", &bench.arg("repo")]);
    let refused = Run::from(command.output().unwrap()).ended(4).stderr;
    assert!(refused.contains("qemu-system-x86") && refused.contains("install"), "{refused}");
}
