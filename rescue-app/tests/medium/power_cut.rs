//! The power goes while the booted medium captures, prunes or restores. The machine's disks log
//! every write and flush; what a disk would hold at a point is put together from the log
//! afterwards, with the loss of what was not flushed. One run of the machine gives every point.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{Random, restic, stdout_of, succeeds, tool};
use tempfile::TempDir;

use super::iso;
use super::qemu::{Firmware, Machine};
use super::write_log::{WriteLog, entries_so_far};

const MIB: usize = 1 << 20;

/// The longest that one command may take under emulation.
const WORK: Duration = Duration::from_secs(300);

/// Points tried of each kind of work unless the environment says otherwise.
const POINTS: u64 = 5;

/// The program of this machine.
pub(super) fn program(args: &[&str]) -> Command {
    let mut command = common::command(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(args).env("LIFEBOAT_LOG", "/dev/null");
    command
}

/// What it writes to standard output; it must succeed.
#[track_caller]
pub(super) fn lifeboat(args: &[&str]) -> String {
    stdout_of(&mut program(args))
}

struct Scene {
    folder: TempDir,
}

/// A repository of the scene's disk for images, reachable as long as this lives.
struct Mounted<'s> {
    scene: &'s Scene,
    root: String,
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = succeeds("umount", &["-l", &self.root]);
    }
}

impl Scene {
    /// The source with a table and a filesystem; a disk with three images, one of which shares
    /// half of its data; a target that holds another disk.
    fn make() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.path("mnt")).unwrap();
        scene.make_disk("source", 21, 40);
        scene.make_disk("target", 22, 40);
        let mut doomed = Random::new(24).bytes(24 * MIB);
        fs::write(scene.path("earlier"), Random::new(23).bytes(12 * MIB)).unwrap();
        fs::write(scene.path("doomed"), &doomed).unwrap();
        doomed.truncate(14 * MIB);
        fs::write(scene.path("kept"), doomed).unwrap();
        let images = scene.name("images");
        File::create(&images).unwrap().set_len(256 << 20).unwrap();
        tool("mke2fs", &["-q", "-F", "-t", "ext4", &images]);
        let mounted = scene.mount("images");
        lifeboat(&["init", "--no-passphrase", "--repo", &mounted.repo()]);
        for disk in ["earlier", "doomed", "kept"] {
            lifeboat(&["capture", &scene.name(disk), "--repo", &mounted.repo()]);
        }
        drop(mounted);
        scene
    }

    fn make_disk(&self, name: &str, seed: u64, mib: usize) {
        fs::write(self.path(name), Random::new(seed).bytes(mib * MIB)).unwrap();
        let _ = succeeds("sgdisk", &["-Z", &self.name(name)]);
        tool("sgdisk", &["-n1:2048:0", "-t1:8300", &self.name(name)]);
        fs::create_dir_all(self.path("files")).unwrap();
        fs::write(self.path("files/file"), Random::new(seed + 100).bytes(16 * MIB)).unwrap();
        let (size, files) = (format!("{}M", mib - 2), self.name("files"));
        let options = ["-q", "-F", "-t", "ext4", "-E", "offset=1048576,nodiscard", "-d", &files];
        tool("mke2fs", &[&options[..], &[&self.name(name), &size]].concat());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn mount(&self, image: &str) -> Mounted<'_> {
        let root = self.name("mnt");
        tool("mount", &["-o", "loop", &self.name(image), &root]);
        Mounted { scene: self, root }
    }

    /// A copy of a disk as it was in the beginning, brought to the point of its log.
    fn cut(&self, disk: &str, log: &WriteLog, point: u64, random: &mut Random) -> String {
        let copy = self.name("cut");
        tool("cp", &["--sparse=always", &self.name(disk), &copy]);
        let file = File::options().read(true).write(true).open(&copy).unwrap();
        log.replay(&file, point, random);
        copy
    }
}

impl Mounted<'_> {
    fn repo(&self) -> String {
        format!("{}/repo", self.root)
    }

    /// The disks that there are images of.
    fn images(&self) -> Vec<String> {
        let json = lifeboat(&["images", "--json", "--repo", &self.repo()]);
        let images: serde_json::Value = serde_json::from_str(&json).unwrap();
        let names = images.as_array().unwrap().iter();
        names.map(|image| image["disk_name"].as_str().unwrap().to_owned()).collect()
    }

    /// Every image is whole by our own judgement, the repository by stock restic's.
    #[track_caller]
    fn assert_whole(&self, expected: &[&str]) {
        let images = self.images();
        for name in expected {
            assert!(images.iter().any(|image| image.contains(name)), "{name} is gone: {images:?}");
        }
        lifeboat(&["verify", "--repo", &self.repo()]);
        let checked = restic(self.repo().as_ref(), "lifeboat", &["--no-lock", "check"]);
        assert!(checked.contains("no errors were found"), "{checked}");
    }

    /// The newest image is the source, bit for bit where it has files.
    #[track_caller]
    fn assert_newest_is_the_source(&self) {
        let out = self.scene.name("out");
        let _ = fs::remove_file(&out);
        lifeboat(&["restore", "latest", &out, "--erase", &out, "--repo", &self.repo()]);
        tool("cmp", &["-n", "17408", &self.scene.name("source"), &out]);
        let part = self.scene.name("part");
        tool(
            "dd",
            &[&format!("if={out}"), &format!("of={part}"), "bs=1M", "skip=1", "status=none"],
        );
        tool("e2fsck", &["-fn", &part]);
        let dump = self.scene.name("dump");
        tool("debugfs", &["-R", &format!("dump file {dump}"), &part]);
        assert!(fs::read(&dump).unwrap() == Random::new(121).bytes(16 * MIB), "the file differs");
    }
}

/// Where in the logs each piece of work begins and ends.
struct Marks {
    capture: (u64, u64),
    prune: (u64, u64),
    restore: (u64, u64),
}

/// The medium captures, forgets and prunes, and restores; then the power goes for good.
fn work_in_the_machine(scene: &Scene) -> Marks {
    let machine = Machine::new(Firmware::Bios)
        .processors(2)
        .cd(&iso())
        .disk(&scene.path("source"), "SOURCE")
        .logged_disk(&scene.path("images.run"), &scene.path("images.log"), "IMAGES")
        .logged_disk(&scene.path("target.run"), &scene.path("target.log"), "TARGET")
        .start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    let work = |command: &str| {
        let (status, output) = machine.try_shell(command, WORK);
        assert_eq!(status, 0, "{command}: {output}");
        entries_so_far(&scene.path("images.log"))
    };
    work("blockdev --setrw /dev/vdb && modprobe ext4; mount -t ext4 /dev/vdb /mnt");
    work("export LIFEBOAT_REPO=/mnt/repo");
    let start = work("sync");
    let captured = work("lifeboat capture /dev/vda --level fast 2>&1");
    let doomed = "lifeboat images | awk '/doomed/ { print $1 }'";
    let pruned =
        work(&format!("lifeboat forget $({doomed}) && lifeboat prune --max-unused 0 2>&1"));
    let before = entries_so_far(&scene.path("target.log"));
    work("lifeboat restore latest:SOURCE /dev/vdc --erase TARGET 2>&1");
    let restored = entries_so_far(&scene.path("target.log"));
    Marks { capture: (start, captured), prune: (captured, pruned), restore: (before, restored) }
}

fn points((from, to): (u64, u64), random: &mut Random) -> Vec<u64> {
    random.points(POINTS, to - from).into_iter().map(|point| from + point + 1).collect()
}

fn during_capture(scene: &Scene, log: &WriteLog, point: u64, random: &mut Random) {
    scene.cut("images", log, point, random);
    let mounted = scene.mount("cut");
    mounted.assert_whole(&["earlier", "doomed", "kept"]);
    lifeboat(&["capture", &scene.name("source"), "--repo", &mounted.repo()]);
    mounted.assert_whole(&["earlier", "doomed", "kept", "source"]);
    mounted.assert_newest_is_the_source();
}

fn during_prune(scene: &Scene, log: &WriteLog, point: u64, random: &mut Random) {
    scene.cut("images", log, point, random);
    let mounted = scene.mount("cut");
    // The machine is off: its exclusive lock is nobody's.
    lifeboat(&["unlock", "--all", "--repo", &mounted.repo()]);
    mounted.assert_whole(&["earlier", "kept", "SOURCE"]);
    lifeboat(&["prune", "--max-unused", "0", "--repo", &mounted.repo()]);
    mounted.assert_whole(&["earlier", "kept", "SOURCE"]);
    mounted.assert_newest_is_the_source();
}

fn during_restore(scene: &Scene, log: &WriteLog, point: u64, random: &mut Random, done: &str) {
    let target = scene.cut("target", log, point, random);
    let mounted = scene.mount("images.run");
    let head = |name: &str| {
        let mut bytes = vec![0; MIB];
        File::open(name).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let restore =
        ["restore", "latest:SOURCE", &target, "--erase", &target, "--repo", &mounted.repo()];
    let table = succeeds("sfdisk", &["-d", &target]);
    if table && head(&target) == head(&scene.name("target")) {
        tool("cmp", &[&scene.name("target"), &target]);
    } else if table {
        tool("cmp", &[done, &target]);
    } else {
        let plan = lifeboat(&[&restore[..], &["--plan"]].concat());
        assert!(plan.contains("was not finished"), "{plan}");
    }
    lifeboat(&[&restore[..], &["--only-changed"]].concat());
    // Beyond the used blocks the target keeps what it held: the filesystem is what counts.
    mounted.assert_newest_is_the_source();
    let part = scene.name("part");
    tool("dd", &[&format!("if={target}"), &format!("of={part}"), "bs=1M", "skip=1", "status=none"]);
    tool("e2fsck", &["-fn", &part]);
    let dump = scene.name("dump");
    tool("debugfs", &["-R", &format!("dump file {dump}"), &part]);
    assert!(fs::read(&dump).unwrap() == Random::new(121).bytes(16 * MIB), "the file differs");
}

fn copy(scene: &Scene, disk: &str) {
    tool("cp", &["--sparse=always", &scene.name(disk), &scene.name(&format!("{disk}.run"))]);
    File::create(scene.path(&format!("{disk}.log"))).unwrap();
}

fn open(path: &Path) -> WriteLog {
    WriteLog::open(path).unwrap()
}

#[test]
fn power_cuts_cost_time_and_nothing_else() {
    let mut random = Random::from_environment();
    let scene = Scene::make();
    copy(&scene, "images");
    copy(&scene, "target");
    let marks = work_in_the_machine(&scene);
    let (images, target) = (open(&scene.path("images.log")), open(&scene.path("target.log")));
    for ((from, to), log) in
        [(marks.capture, &images), (marks.prune, &images), (marks.restore, &target)]
    {
        assert!(log.flushes(from, to) > 1, "nothing is flushed between {from} and {to}");
    }
    // What chance may not leave out: the end, at which all is done.
    let done = scene.name("done");
    fs::rename(scene.cut("target", &target, marks.restore.1, &mut random), &done).unwrap();
    for point in points(marks.capture, &mut random) {
        println!("capture, after write {point} of {:?}", marks.capture);
        during_capture(&scene, &images, point, &mut random);
    }
    for point in points(marks.prune, &mut random) {
        println!("prune, after write {point} of {:?}", marks.prune);
        during_prune(&scene, &images, point, &mut random);
    }
    for point in points(marks.restore, &mut random) {
        println!("restore, after write {point} of {:?}", marks.restore);
        during_restore(&scene, &target, point, &mut random, &done);
    }
}
