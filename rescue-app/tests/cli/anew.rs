//! Filesystems that cannot get smaller and are made anew with all of their files.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{noise, tool};

use crate::smaller::{first, one_partition};
use crate::support::{Bench, MIB};

/// A partition, mounted while this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(bench: &Bench, part: &Path, options: &str) -> Self {
        let folder = bench.path("mounted");
        fs::create_dir_all(&folder).unwrap();
        tool("mount", &["-o", options, part.to_str().unwrap(), folder.to_str().unwrap()]);
        Self(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        tool("umount", &[&self.0]);
    }
}

/// An access control list: `user::rwx`, `user:1234:r--`, `group::r-x`, `mask::r-x`, `other::---`
/// (Linux `include/uapi/linux/posix_acl_xattr.h`).
fn access_list() -> Vec<u8> {
    let entries = [
        (1u16, 7u16, u32::MAX),
        (2, 4, 1234),
        (4, 5, u32::MAX),
        (16, 5, u32::MAX),
        (32, 0, u32::MAX),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// One of everything that a file can be and have.
fn fill(root: &Path) {
    let at = |name: &str| root.join(name);
    for number in 0..300u64 {
        let folder = at(&format!("folder-{}", number % 7));
        fs::create_dir_all(&folder).unwrap();
        let len = usize::try_from(number * 311).unwrap();
        fs::write(folder.join(format!("file {number}")), noise(number, len)).unwrap();
    }
    fs::write(at("large"), noise(7, 30 << 20)).unwrap();
    let holes = File::create(at("holes")).unwrap();
    holes.set_len(200 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, &noise(8, 5000), 150 << 20).unwrap();
    fs::hard_link(at("large"), at("folder-1/the same")).unwrap();
    symlink("../nowhere", at("folder-2/link")).unwrap();
    lchown(at("folder-2/link"), Some(17), Some(18)).unwrap();
    tool("mkfifo", &[at("pipe")]);
    tool("mknod", &[at("device").to_str().unwrap(), "c", "1", "3"]);
    fs::write(at("program"), "#!/bin/true").unwrap();
    lchown(at("program"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(at("program"), Permissions::from_mode(0o6755)).unwrap();
    for (name, value) in [
        ("user.comment", b"a word".to_vec()),
        ("security.selinux", b"system_u:object_r:bin_t:s0\0".to_vec()),
        ("trusted.overlay.opaque", b"y".to_vec()),
        ("system.posix_acl_access", access_list()),
        ("user.long", noise(9, 9000)),
    ] {
        xattr::set(at("folder-3/file 3"), name, &value).unwrap();
    }
    xattr::set(at("folder-3"), "system.posix_acl_default", &access_list()).unwrap();
    fs::write(at("kept"), "for good").unwrap();
    tool("chattr", &["+i", at("kept").to_str().unwrap()]);
    tool("chattr", &["+d", "-p", "4711", at("folder-4/file 4").to_str().unwrap()]);
    let moment = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 987_654_321);
    File::open(at("folder-5")).unwrap().set_modified(moment).unwrap();
}

/// What the kernel says of all of them: names, kinds, owners, modes, times, links, flags, attributes, content.
fn description(root: &Path) -> String {
    let folder = root.to_str().unwrap();
    let format = "%P|%y|%m|%U:%G|%n|%T@|%l|%s\\n";
    // The size of a folder is the filesystem's own affair.
    let found = tool(
        "sh",
        &[
            "-c",
            &format!("find {folder} -printf '{format}' | sed -E '/\\|d\\|/s/\\|[0-9]+$//' | sort"),
        ],
    );
    let sums = tool(
        "sh",
        &["-c", &format!("cd {folder} && find . -type f -print0 | sort -z | xargs -0 sha256sum")],
    );
    let flags = tool(
        "sh",
        &["-c", &format!("cd {folder} && lsattr -pR . 2>/dev/null | grep -v '^$' | sort -k3")],
    );
    let attributes = ["folder-3/file 3", "folder-3", "program"].map(|name| {
        let path = root.join(name);
        let mut all: Vec<_> = xattr::list(&path).unwrap().collect();
        all.sort();
        let each = all.iter().map(|key| format!("{key:?}={:?}", xattr::get(&path, key).unwrap()));
        each.collect::<Vec<_>>().join("\n")
    });
    let holes = tool("stat", &["-c", "%b", root.join("holes").to_str().unwrap()]);
    [found, sums, flags, attributes.join("\n"), holes].join("\n---\n")
}

/// Features and identity, by the words of `xfs_db`; not the stripes of the disk that it was made for.
fn features(part: &str) -> String {
    let told = tool("xfs_db", &["-r", "-c", "version", "-c", "uuid", "-c", "label", part]);
    told.split_once("] = ").unwrap().1.replace("DALIGN,", "")
}

fn judge(bench: &Bench, disk: &Path, expected: &(String, String)) {
    let part = first(bench, disk);
    tool("xfs_repair", &["-n", &part]);
    assert_eq!(features(&part), expected.0);
    let size = tool("xfs_db", &["-r", "-c", "sb 0", "-c", "p dblocks", "-c", "p blocksize", &part]);
    let numbers: Vec<u64> =
        size.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers.iter().product::<u64>(), fs::metadata(&part).unwrap().len(), "{size}");
    let mounted = Mounted::new(bench, Path::new(&part), "loop,ro");
    assert_eq!(description(&mounted.0), expected.1);
}

#[test]
fn an_xfs_is_made_anew_with_all_that_its_files_have() {
    for made in [
        &["-m", "rmapbt=1,reflink=1", "-L", "ROOT"][..],
        &["-m", "reflink=0,bigtime=0,inobtcount=0", "-i", "nrext64=0", "-d", "su=64k,sw=2"],
    ] {
        let bench = Bench::new();
        let disk = one_partition(&bench, 1500, &[&["mkfs.xfs", "-q"], made].concat());
        let part = bench.path("part");
        let (start, mib) = (MIB, 1500);
        {
            let mounted = Mounted::new(&bench, &part, "loop");
            fill(&mounted.0);
        }
        crate::smaller::sparsely(&part, 0, &disk, start, mib);
        let expected = {
            let features = features(part.to_str().unwrap());
            let mounted = Mounted::new(&bench, &part, "loop,ro");
            (features, description(&mounted.0))
        };
        bench.capture("disk");
        let out = bench.path("out");
        File::create(&out).unwrap().set_len(420 * MIB).unwrap();
        let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan"]).ended(0).stdout;
        assert!(
            plan.contains("made anew and smaller, with its UUID and all files, by mkfs.xfs"),
            "{plan}"
        );
        bench.restore("out", &[]);
        judge(&bench, &out, &expected);
        // By a clone too; and with too little room nothing is written.
        let cloned = bench.path("cloned");
        File::create(&cloned).unwrap().set_len(600 * MIB).unwrap();
        let (from, to) = (bench.arg("disk"), bench.arg("cloned"));
        bench.run(&["clone", &from, &to, "--erase", &to]).ended(0);
        judge(&bench, &cloned, &expected);
        File::create(&out).unwrap().set_len(299 * MIB).unwrap();
        let to = bench.arg("out");
        let refused = bench.run(&["restore", "latest", &to, "--erase", &to]).ended(4).stderr;
        assert!(refused.contains("the smallest disk that this fits on"), "{refused}");
    }
}
