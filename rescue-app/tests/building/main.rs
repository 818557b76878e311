//! What the scripts behind `make` promise: exactly the locked packages or a word about it, tools
//! installed by task, the signatures of shim, cases that are counted right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{command, project, stdout_of, tool};
use tempfile::TempDir;

/// The archive's state that the tests' lock names.
const TIME: &str = "20260912T075541Z";

/// Exit status and everything that was said.
fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let (status, said) = run(command);
    assert_eq!(status, 0, "{command:?}: {said}");
    said
}

/// A copy of the scripts with lists of its own.
struct Tree {
    folder: TempDir,
}

impl Tree {
    /// With that list of packages and that lock.
    fn new(list: &str, lock: &str) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        let from = project();
        let what = [from.join("scripts"), from.join("Cargo.toml"), tree.path("")];
        stdout_of(command("cp").arg("-r").args(what));
        fs::create_dir(tree.path("initramfs")).unwrap();
        fs::write(tree.path("initramfs/packages.list"), list).unwrap();
        fs::write(tree.path("initramfs/packages.lock"), lock).unwrap();
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("scripts").join(name));
        for variable in ["DEBIAN_SNAPSHOT", "LIFEBOAT_CACHE", "LOCKED_ONLY"] {
            command.env_remove(variable);
        }
        command
    }
}

/// An archive of old versions, in a folder: one package, `old-thing` 1.0-1, with that content.
struct Archive {
    folder: TempDir,
}

impl Archive {
    fn new(content: &str) -> Self {
        let archive = Self { folder: tempfile::tempdir().unwrap() };
        let control = "Package: old-thing\nVersion: 1.0-1\nArchitecture: amd64\n\
                       Maintainer: Nobody <nobody@example.org>\nDescription: a test\n";
        let package = tempfile::tempdir().unwrap();
        fs::create_dir_all(package.path().join("DEBIAN")).unwrap();
        fs::write(package.path().join("DEBIAN/control"), control).unwrap();
        fs::write(package.path().join("content"), content).unwrap();
        fs::create_dir_all(archive.path("dists/trixie/main/binary-amd64")).unwrap();
        let file = archive.path("old-thing_1.0-1_amd64.deb");
        let pack = ["--root-owner-group", "-b"];
        stdout_of(command("dpkg-deb").args(pack).args([package.path(), &file]));
        let (size, sum) = size_and_sum(&file);
        let index = archive.path("dists/trixie/main/binary-amd64/Packages");
        let entry =
            format!("{control}Filename: old-thing_1.0-1_amd64.deb\nSize: {size}\nSHA256: {sum}\n");
        fs::write(&index, entry).unwrap();
        let (size, sum) = size_and_sum(&index);
        let release = format!(
            "Origin: Debian\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {sum} {size} main/binary-amd64/Packages\n"
        );
        fs::write(archive.path("dists/trixie/InRelease"), release).unwrap();
        archive
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("archive/debian").join(TIME).join(path)
    }

    fn address(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    fn lock(&self) -> String {
        let (size, sum) = size_and_sum(&self.path("old-thing_1.0-1_amd64.deb"));
        format!(
            "# archive: {TIME}\n# source-date-epoch: 1789199741\nold-thing 1.0-1 amd64 {size} {sum}\n"
        )
    }
}

fn size_and_sum(file: &Path) -> (u64, String) {
    let said = tool("sha256sum", &[file]);
    (fs::metadata(file).unwrap().len(), said.split(' ').next().unwrap().to_owned())
}

#[test]
fn an_archive_of_old_versions_gives_exactly_what_is_locked() {
    let archive = Archive::new("as it was");
    let tree = Tree::new("old-thing: content\n", &archive.lock());
    succeed(tree.script("fetch-packages").env("DEBIAN_SNAPSHOT", archive.address()));
    assert_eq!(tree.read("build/packages.lock"), archive.lock());
    assert!(tree.read("build/lifeboat-build").contains("PACKAGES=\"locked\"\n"));
    let cached = fs::read(tree.path("build/debs/old-thing_1.0-1_amd64.deb")).unwrap();
    assert_eq!(cached, fs::read(archive.path("old-thing_1.0-1_amd64.deb")).unwrap());

    // What lies in the cache may have changed since; it is checked again before it is unpacked.
    let file = tree.path("build/debs/old-thing_1.0-1_amd64.deb");
    fs::copy(Archive::new("tampered with").path("old-thing_1.0-1_amd64.deb"), file).unwrap();
    let (status, said) = run(&mut tree.script("unpack-packages"));
    assert_ne!(status, 0);
    assert!(said.contains("has not the SHA-256 sum"), "{said}");
    assert!(!tree.path("build/unpacked/content").exists());
}

#[test]
fn an_archive_of_old_versions_is_not_believed() {
    let lock = Archive::new("as it was").lock();
    let tree = Tree::new("old-thing: content\n", &lock);
    let other = Archive::new("something else");
    let fetch = || tree.script("fetch-packages");
    let (status, said) = run(fetch().env("DEBIAN_SNAPSHOT", other.address()));
    assert_ne!(status, 0);
    assert!(said.contains("not the SHA-256 sum that the lock has: old-thing=1.0-1"), "{said}");

    // One that has not got the time, or the version, ends the build; nothing newer is taken.
    let lock = lock.replace(TIME, "20250101T000000Z");
    fs::write(tree.path("initramfs/packages.lock"), lock).unwrap();
    let (status, said) = run(fetch().env("DEBIAN_SNAPSHOT", other.address()));
    assert_ne!(status, 0);
    assert!(said.contains("has no Debian trixie as it was at 20250101T000000Z"), "{said}");
    let lock = other.lock().replace("1.0-1", "0.9-1");
    fs::write(tree.path("initramfs/packages.lock"), lock).unwrap();
    let (status, said) = run(fetch().env("DEBIAN_SNAPSHOT", other.address()));
    assert_ne!(status, 0);
    assert!(said.contains("has not got all locked versions"), "{said}");
}

/// Needs one of Debian's mirrors, as building does.
#[test]
fn where_a_locked_version_is_gone_a_build_takes_today_s_and_says_so_and_a_release_does_not() {
    let lock = format!(
        "# archive: {TIME}\n# source-date-epoch: 1789199741\nlibmd0 0.0-1 amd64 1 {}\n",
        "0".repeat(64)
    );
    let tree = Tree::new("libmd0: (library)\n", &lock);
    let (status, said) = run(tree.script("fetch-packages").env("LOCKED_ONLY", "yes"));
    assert_ne!(status, 0);
    assert!(said.contains("DEBIAN_SNAPSHOT=") && said.contains("'0.0-1' for 'libmd0'"), "{said}");
    assert!(!tree.path("build/lifeboat-build").exists());

    let said = succeed(&mut tree.script("fetch-packages"));
    let lines: Vec<_> = said.lines().filter(|line| line.contains("UNLOCKED")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("locked versions have left the archive"), "{said}");
    let build = tree.read("build/lifeboat-build");
    assert!(build.contains("PACKAGES=\"unlocked\"\n"), "{build}");
    assert!(build.contains("NOT_AS_LOCKED=\"libmd0 "), "{build}");
    assert!(build.contains("SOURCE_DATE_EPOCH=\"1789199741\"\n"), "{build}");
}

#[test]
fn the_medium_s_file_and_volume_id_say_whether_its_packages_are_the_locked_ones() {
    let build = project().join("build");
    let told = fs::read_to_string(build.join("lifeboat-build")).unwrap();
    let iso = build.join("lifeboat.iso");
    let iso = iso.to_str().unwrap();
    let id = tool("blkid", &["-p", "-s", "LABEL", "-o", "value", iso]);
    assert!(id.starts_with("LIFEBOAT_"), "{id}");
    assert_eq!(id.contains("UNLOCKED"), told.contains("PACKAGES=\"unlocked\""), "{id}{told}");
    let concat = ["-concat", "append", "-", "/lifeboat-build", "--"];
    let inside = tool("xorriso", &[&["-osirrox", "on", "-indev", iso], &concat[..]].concat());
    assert!(inside.contains(&told), "{inside}");
}

#[test]
fn every_signature_of_a_uefi_program_is_looked_at() {
    let unpacked = project().join("build/unpacked/usr/lib");
    let check = |file: &Path| run(Command::new(project().join("scripts/check-shim")).arg(file));
    let (status, said) = check(&unpacked.join("shim/shimx64.efi.signed"));
    assert_eq!(status, 0, "{said}");
    // Debian's shim is signed twice.
    let both = "Microsoft Corporation UEFI CA 2011, Microsoft UEFI CA 2023";
    assert!(said.contains(both), "{said}");
    // Signed by Debian alone; and no UEFI program at all.
    let (status, said) = check(&unpacked.join("grub/x86_64-efi-signed/gcdx64.efi.signed"));
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("Debian Secure Boot CA"), "{said}");
    assert_eq!(check(Path::new("/bin/sh")).0, 1);
}

/// What `setup` would install for a task on a machine that has Rust and nothing else.
fn installed_for(tasks: &[&str]) -> String {
    let machine = tempfile::tempdir().unwrap();
    let bin = machine.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let stub = |name: &str, does: &str| {
        fs::write(bin.join(name), format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    stub("dpkg-query", "exit 1");
    stub("apt-get", "exit 0");
    stub("sudo", "exec \"$@\"");
    stub("rustup", "echo x86_64-unknown-linux-musl");
    stub("cargo", "exit 0");
    succeed(
        Command::new(project().join("scripts/setup"))
            .args(tasks)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("CARGO_HOME", machine.path()),
    )
}

/// The package URLs in the bill of materials of a release.
fn billed() -> BTreeSet<String> {
    let mut command = Command::new(project().join("scripts/make-sbom"));
    command.args(["0.1.0", "initramfs/packages.lock"]).current_dir(project());
    let bill = succeed(command.env("SOURCE_DATE_EPOCH", "1795834381"));
    let bill: serde_json::Value = serde_json::from_str(&bill).unwrap();
    assert_eq!(bill["metadata"]["timestamp"], "2026-11-28T02:53:01Z");
    let parts = bill["components"].as_array().unwrap();
    assert!(parts.iter().all(|part| part["hashes"][0]["content"].as_str().unwrap().len() == 64));
    parts.iter().map(|part| part["purl"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_release_names_every_crate_in_the_program_and_every_package_of_the_medium() {
    let (crates, packages): (BTreeSet<_>, BTreeSet<_>) =
        billed().into_iter().partition(|purl| purl.starts_with("pkg:cargo/"));
    // A program holds the paths of the sources it was made from, for panics and debuggers.
    let program = fs::read(env!("CARGO_BIN_EXE_lifeboat")).unwrap();
    let sources = String::from_utf8_lossy(&program);
    let folder = |path: &str| {
        let folder = path.split('/').nth(1)?.split(|c: char| c.is_control()).next()?;
        folder.contains('.').then(|| folder.replace('+', "%2B"))
    };
    let seen: BTreeSet<String> =
        sources.split("/registry/src/").skip(1).filter_map(folder).collect();
    let folders =
        crates.iter().map(|purl| purl.replace("pkg:cargo/", "").replace('@', "-")).collect();
    assert!(seen.len() > 40, "{seen:?}");
    assert!(seen.is_subset(&folders), "{:?}", seen.difference(&folders).collect::<Vec<_>>());
    // Locked for other systems, and for a feature that nothing switches on.
    for absent in ["windows-sys", "palette", "syn", "proptest"] {
        let other = crates.iter().find(|purl| purl.starts_with(&format!("pkg:cargo/{absent}@")));
        assert_eq!(other, None);
    }
    let lock = fs::read_to_string(project().join("initramfs/packages.lock")).unwrap();
    let lines = lock.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(packages.len(), names.len());
    for name in names {
        let package = format!("pkg:deb/debian/{name}@");
        assert!(packages.iter().any(|purl| purl.starts_with(&package)), "{name}");
    }
}

#[test]
fn tools_are_installed_by_the_tasks_that_need_them() {
    let run = installed_for(&["run"]);
    assert!(run.contains(" qemu-system-x86") && run.contains(" musl-tools"), "{run}");
    assert!(!run.contains("cargo-") && !run.contains(" restic"), "{run}");
    let lint = installed_for(&["lint"]);
    assert!(lint.contains("cargo-deny@") && !lint.contains("cargo-nextest"), "{lint}");
    let test = installed_for(&["test"]);
    assert!(test.contains("cargo-nextest@") && test.contains("cargo-fuzz@"), "{test}");
    assert!(test.contains(" restic") && !test.contains("cargo-deny"), "{test}");
    let all = installed_for(&[]);
    for tool in ["cargo-deny@", "cargo-nextest@", "cargo-fuzz@", " fsarchiver", " shellcheck"] {
        assert!(all.contains(tool), "{tool}: {all}");
    }
}

#[test]
fn cases_are_counted_and_one_that_does_not_end_is_ended() {
    let tree = Tree::new("", "");
    let cases = tree.path("cases");
    fs::create_dir(&cases).unwrap();
    let case = |name: &str, does: &str| fs::write(cases.join(name), does).unwrap();
    case("right.sh", "[ -x \"$LB\" ] || exit 1");
    case("skipped.sh", "exit 77");
    let go = || {
        let mut command = tree.script("run-cases");
        command.env("CASES", &cases).env("LIFEBOAT", "/bin/true").env("CASE_SECONDS", "5");
        command
    };
    let said = succeed(&mut go());
    assert!(said.ends_with("1 passed, 0 failed, 1 skipped\n"), "{said}");
    case("wrong.sh", "echo why; exit 1");
    case("endless.sh", "sleep 600");
    let (status, said) = run(&mut go());
    assert_eq!(status, 1, "{said}");
    assert!(said.ends_with("1 passed, 2 failed, 1 skipped\n"), "{said}");
    assert!(said.contains("not done in 5 s") && said.contains("exit 1"), "{said}");
    assert_eq!(tree.read("build/cases/wrong.log"), "why\n");
    assert!(succeed(go().arg("right")).ends_with("1 passed, 0 failed\n"));
    fs::remove_dir_all(&cases).unwrap();
    assert_eq!(run(&mut go()).0, 1);
}
