//! What was agreed to is what is written: something else under the same name is refused, with what it
//! was and what it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use common::{Loop, noise, succeeds, tool};
use lifeboat::operation::{
    self, Cancel, Control, OperationError, PlaceFilesystem, PrepareRequest, RepoAccess,
    RestorePlan, RestoreRequest, TargetRequest, What,
};

use crate::support::{Bench, MIB};

/// A repository with an image of 64 MiB.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(3, 64 << 20)).unwrap();
    bench.capture("disk");
    bench
}

fn blank(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// A restore of the newest image that is read back, agreed to by `erase`.
pub fn request(bench: &Bench, disk: &str, erase: &str) -> RestoreRequest {
    RestoreRequest {
        image: "latest".into(),
        repo: RepoAccess::new(bench.path("repo"), None),
        target: TargetRequest::all_of(disk, erase),
        what: What::Disk,
        verify_first: false,
    }
}

fn restore(plan: &RestorePlan, request: &RestoreRequest) -> Result<(), OperationError> {
    let cancel = Cancel::new();
    let control = Control { sink: &|_| {}, cancel: &cancel, resume: None };
    plan.run(request, control).map(drop)
}

/// Plans a restore to `disk`, lets `swap` change something, and restores as it was agreed to; that is
/// refused, for reasons in which each of `why` occurs.
#[track_caller]
fn refused(bench: &Bench, disk: &str, erase: &str, why: &[&str], swap: impl FnOnce()) {
    let request = request(bench, disk, erase);
    let mut plan = operation::plan_restore(&request).unwrap();
    // What is held open cannot be swapped.
    plan.onto.hold = None;
    swap();
    let refusal = restore(&plan, &request).unwrap_err();
    let told = refusal.to_string();
    assert!(refusal.is_refusal(), "{told}");
    why.iter().for_each(|why| assert!(told.contains(why), "{why}: {told}"));
    // As it is now it can be agreed to.
    restore(&operation::plan_restore(&request).unwrap(), &request).unwrap();
}

#[test]
fn another_disk_under_the_same_name_is_not_written() {
    let bench = bench();
    let (file, arg) = (bench.path("target"), bench.arg("target"));
    blank(&file, 64 * MIB);
    let device = Loop::numbered(9001, &arg);
    // A card swapped in its reader: same device, same name, same size, and just as empty.
    refused(&bench, device.name(), &arg, &["medium number", "and is now"], || {
        tool("losetup", &["-d", device.name()]);
        fs::remove_file(&file).unwrap();
        blank(&file, 64 * MIB);
        tool("losetup", &[device.name(), &arg]);
    });
    refused(&bench, device.name(), &arg, &["67108864 bytes", "134217728 bytes"], || {
        File::options().write(true).open(&file).unwrap().set_len(128 * MIB).unwrap();
        tool("losetup", &["-c", device.name()]);
    });
}

#[test]
fn what_somebody_wrote_since_the_plan_is_not_overwritten() {
    let bench = bench();
    let (file, arg) = (bench.path("target"), bench.arg("target"));
    for at in [446, 64 * MIB - 512] {
        blank(&file, 64 * MIB);
        refused(&bench, &arg, &arg, &["checksum"], || {
            File::options().write(true).open(&file).unwrap().write_all_at(b"new", at).unwrap();
        });
    }
    blank(&file, 64 * MIB);
    refused(&bench, &arg, &arg, &["inode"], || {
        blank(&bench.path("other"), 64 * MIB);
        fs::rename(bench.path("other"), &file).unwrap();
    });
    fs::remove_file(&file).unwrap();
    refused(&bench, &arg, &arg, &["was a new file of 67108864 bytes"], || {
        blank(&file, 64 * MIB);
    });
    refused(&bench, &arg, &arg, &["is now a new file"], || fs::remove_file(&file).unwrap());
}

/// The kernel gives the name of a device that is open to no other.
#[test]
fn a_planned_target_keeps_its_name_to_the_end() {
    let bench = bench();
    let arg = bench.arg("target");
    blank(&bench.path("target"), 64 * MIB);
    blank(&bench.path("other"), 64 * MIB);
    let device = Loop::numbered(9002, &arg);
    let plan = operation::plan_restore(&request(&bench, device.name(), &arg)).unwrap();
    tool("losetup", &["-d", device.name()]);
    let attach = || succeeds("losetup", &[device.name(), &bench.arg("other")]);
    assert!(!attach(), "it is still open");
    drop(plan);
    assert!(attach());
}

#[test]
fn another_disk_under_the_same_name_is_not_prepared() {
    let bench = Bench::empty();
    let (file, arg) = (bench.path("target"), bench.arg("target"));
    blank(&file, 128 * MIB);
    let device = Loop::numbered(9003, &arg);
    let mut request = PrepareRequest {
        disk: device.path().into(),
        sector_size: None,
        erase: Some(arg.clone()),
        agreed: None,
        filesystem: PlaceFilesystem::Ext4,
        label: None,
    };
    let plan = operation::plan_prepare(&request).unwrap();
    request.agreed = Some(plan.agreement.clone());
    drop(plan);
    tool("losetup", &["-d", device.name()]);
    fs::remove_file(&file).unwrap();
    blank(&file, 128 * MIB);
    tool("losetup", &[device.name(), &arg]);
    let cancel = Cancel::new();
    let control = Control { sink: &|_| {}, cancel: &cancel, resume: None };
    let refusal = operation::prepare(&request, control).unwrap_err();
    assert!(refusal.is_refusal() && refusal.to_string().contains("medium number"), "{refusal}");
    assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
    request.agreed = None;
    request.agreed = Some(operation::plan_prepare(&request).unwrap().agreement);
    operation::prepare(&request, control).unwrap();
}

#[test]
fn the_plan_tells_what_names_the_disk() {
    let bench = bench();
    let arg = bench.arg("target");
    blank(&bench.path("target"), 64 * MIB);
    let device = Loop::new(&arg);
    let args = ["restore", "latest", device.name(), "--plan"];
    let told = bench.run(&args).ended(0).stdout;
    assert!(told.ends_with(&format!("\nto agree: --erase {arg}\n")), "{told}");
    let plan = bench.run(&[&args[..], &["--json"]].concat()).ended(0).result();
    assert_eq!(plan["erase"], arg);
    let disks = bench.run(&["disks", "--json"]).ended(0).stdout;
    assert!(disks.contains(&format!("\"erase\": \"{arg}\"")), "{disks}");
    // The kernel's name is no consent.
    let run = bench.run(&["restore", "latest", device.name(), "--erase", device.name()]).ended(4);
    assert!(run.stderr.contains(&format!("say --erase {arg}")), "{}", run.stderr);
    assert!(run.stderr.contains("after the next start"), "{}", run.stderr);
}
