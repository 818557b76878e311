//! Linux systems by their own files: judged by a shell reading the same `os-release`.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use common::tool;
use lifeboat::inspect::{OwnDrivers, own_drivers, system};
use tempfile::TempDir;

use crate::ext;
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

/// What a shell takes for the name.
fn name_by_shell(os_release: &Path) -> String {
    let script = format!(". {}; printf %s \"$PRETTY_NAME\"", os_release.display());
    tool("sh", &["-c", &script])
}

/// How a system keeps its `os-release`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// A file in `/etc`.
    Etc,
    /// A file in `/usr/lib`, to which `/etc` has a link.
    Usr,
    /// A link in `/usr/lib` to one of several files there, as Fedora has it.
    Linked,
    /// A link with an absolute target too long for an inode.
    Far,
}

/// The parts of a system that matter here, in `root`; the file that tells its name.
fn install(root: &Path, text: &str, style: Style) -> PathBuf {
    let (lib, etc) = (root.join("usr/lib"), root.join("etc"));
    fs::create_dir_all(&lib).unwrap();
    fs::create_dir_all(&etc).unwrap();
    for number in 0..2000 {
        fs::write(lib.join(format!("some-library-{number}.so")), "").unwrap();
    }
    for number in 0..30 {
        fs::write(etc.join(format!("settings-{number}")), "x").unwrap();
    }
    let file = match style {
        Style::Etc => etc.join("os-release"),
        Style::Usr => lib.join("os-release"),
        Style::Linked => lib.join("os.release.d/os-release-server"),
        Style::Far => lib.join("d".repeat(200)).join("e".repeat(200)).join("os-release"),
    };
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    match style {
        Style::Etc => {}
        Style::Usr => symlink("../usr/lib/os-release", etc.join("os-release")).unwrap(),
        Style::Linked => {
            symlink("./os.release.d/os-release-server", lib.join("os-release")).unwrap();
            symlink("../usr/lib/os-release", etc.join("os-release")).unwrap();
        }
        Style::Far => {
            let target = Path::new("/").join(file.strip_prefix(root).unwrap());
            symlink(target, etc.join("os-release")).unwrap();
        }
    }
    file
}

fn real() -> String {
    fs::read_to_string("/usr/lib/os-release").unwrap()
}

const ODD: &str = "ID=x\nPRETTY_NAME='Ödd \\\\ Linux'\nPRETTY_NAME=\"Odd \\\"Linux\\\" 3\"\n";

#[test]
fn linux_systems_are_named_by_their_os_release() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let real = real();
    for (name, text, options, style) in [
        ("real", real.as_str(), "-t ext4 -b 4096", Style::Usr),
        ("real-1k", real.as_str(), "-t ext4 -b 1024", Style::Etc),
        ("odd", ODD, "-t ext2 -b 1024 -r 0", Style::Linked),
        ("no-types", ODD, "-t ext3 -b 2048 -O ^filetype", Style::Far),
    ] {
        let (tree, image) = (scratch.join(name), scratch.join("image"));
        let file = install(&tree, text, style);
        tools::sparse_medium(&image, 24 * MIB);
        ext::format(&image, options, Some(&tree));
        assert_eq!(system(&Volume::open(&image)), Some(name_by_shell(&file)), "{name}");
    }
    let image = scratch.join("empty");
    tools::sparse_medium(&image, 8 * MIB);
    ext::format(&image, "-t ext4", None);
    assert_eq!(system(&Volume::open(&image)), None);
}

fn format(image: &Path, command: &str) {
    let mut words: Vec<&str> = command.split_whitespace().collect();
    words.push(image.to_str().unwrap());
    tool(words[0], &words[1..]);
}

#[test]
fn linux_systems_are_named_on_xfs() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for (options, style) in [
        ("", Style::Usr),
        ("-b size=1024 -i size=256 -m crc=0 -n ftype=0", Style::Linked),
        ("-b size=1024 -n size=4096", Style::Linked),
        ("-n size=16384 -i size=1024,nrext64=1", Style::Far),
        ("-d agcount=3", Style::Etc),
    ] {
        tools::old_medium(&image, 64 * MIB);
        let prototype = scratch.path().join("prototype");
        let tree = scratch.path().join("tree");
        let file = install(&tree, &real(), style);
        let expected = name_by_shell(&file);
        let old = options.contains("crc=0");
        let from_tree = format!("-p {}", prototype.display());
        if old {
            // Current kernels do not mount it.
            write_prototype(&tree, &prototype);
        }
        let more = if old { from_tree.as_str() } else { "" };
        format(&image, &format!("mkfs.xfs --unsupported -q -f {options} {more}"));
        if !old {
            let mount = tools::Mount::new(&image, "xfs", "rw");
            install(mount.path(), &real(), style);
        }
        assert_eq!(system(&Volume::open(&image)), Some(expected), "{options}");
        fs::remove_dir_all(&tree).unwrap();
    }
}

/// A description of a tree for `mkfs.xfs -p`.
fn write_prototype(tree: &Path, prototype: &Path) {
    fn folder(path: &Path, text: &mut String) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                *text += &format!("{name} l--777 0 0 {}\n", target.display());
            } else if path.is_dir() {
                *text += &format!("{name} d--755 0 0\n");
                folder(&path, text);
            } else {
                *text += &format!("{name} ---644 0 0 {}\n", path.display());
            }
        }
        *text += "$\n";
    }
    let mut text = "/\n0 0\nd--755 0 0\n".to_owned();
    folder(tree, &mut text);
    fs::write(prototype, text).unwrap();
}

#[test]
fn a_scattered_file_on_xfs_is_read() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 64 * MIB);
    format(&image, "mkfs.xfs --unsupported -q -f -b size=1024");
    let mount = tools::Mount::new(&image, "xfs", "rw");
    fs::create_dir(mount.path().join("etc")).unwrap();
    let file = fs::File::create(mount.path().join("etc/os-release")).unwrap();
    for at in 0..30 {
        let line = format!("\n{}\n", "#".repeat(1022));
        file.write_all_at(line.as_bytes(), at * 2048).unwrap();
    }
    file.write_all_at(b"\nPRETTY_NAME=Scattered\n", 30 * 2048).unwrap();
    drop(file);
    drop(mount);
    let ask = ["-r", "-c", "path /etc/os-release", "-c", "print core.format"];
    let answer = tool("xfs_db", &[&ask[..], &[image.to_str().unwrap()]].concat());
    assert!(answer.contains("btree"), "{answer}");
    assert_eq!(system(&Volume::open(&image)).as_deref(), Some("Scattered"));
}

/// Makes a Btrfs with what `fill` puts into it; what is named then.
fn on_btrfs(image: &Path, options: &str, mount: &str, fill: &dyn Fn(&Path)) -> Option<String> {
    tools::sparse_medium(image, 256 * MIB);
    format(image, &format!("mkfs.btrfs -q -f {options}"));
    let mounted = tools::Mount::new(image, "btrfs", mount);
    fill(mounted.path());
    drop(mounted);
    system(&Volume::open(image))
}

fn subvolume(path: &Path) {
    tool("btrfs", &["-q", "subvolume", "create", path.to_str().unwrap()]);
}

#[test]
fn linux_systems_are_named_on_btrfs() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let tree = scratch.path().join("tree");
    let expected = Some(name_by_shell(&install(&tree, &real(), Style::Usr)));
    tools::sparse_medium(&image, 256 * MIB);
    format(&image, &format!("mkfs.btrfs -q -f --rootdir {}", tree.display()));
    assert_eq!(system(&Volume::open(&image)), expected, "--rootdir");

    // Longer than what fits into an item.
    let long = format!("{}{}", "# padding that can be compressed\n".repeat(400), real());
    for (name, mount) in [
        ("", "rw"),
        ("@", "compress-force=zstd"),
        ("root", "compress-force=zstd:9"),
        ("@", "compress-force=lzo"),
        ("@rootfs", "compress-force=zlib"),
    ] {
        for text in [&real(), &long] {
            let found = on_btrfs(&image, "-m dup -n 4096", mount, &|root| {
                let system = root.join(name);
                if !name.is_empty() {
                    subvolume(&system);
                }
                install(&system, text, Style::Linked);
            });
            assert_eq!(found, expected, "{name} {mount}");
        }
    }
    let striped = on_btrfs(&image, "--mixed", "rw", &|root| drop(install(root, &long, Style::Far)));
    assert_eq!(striped, expected, "mixed");
}

#[test]
fn the_default_subvolume_counts_first() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let found = on_btrfs(&image, "", "rw", &|root| {
        for (name, text) in [("@", "PRETTY_NAME=Old\n"), ("@/snapshots", "")] {
            subvolume(&root.join(name));
            if !text.is_empty() {
                install(&root.join(name), text, Style::Etc);
            }
        }
        let (from, to) = (root.join("@"), root.join("@/snapshots/1"));
        let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
        tool("btrfs", &[&["-q", "subvolume", "snapshot"], &paths[..]].concat());
        fs::write(to.join("etc/os-release"), "PRETTY_NAME=New\n").unwrap();
        tool("btrfs", &["-q", "subvolume", "set-default", paths[1]]);
    });
    assert_eq!(found.as_deref(), Some("New"));
}

/// Whether a system with these files starts with the drivers of its own machine alone.
fn own(files: &[(&str, &str)]) -> Option<OwnDrivers> {
    let scratch = TempDir::new().unwrap();
    let (root, image) = (scratch.path().join("root"), scratch.path().join("image"));
    for (name, text) in [&[("etc/os-release", "PRETTY_NAME=Some")], files].concat() {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (from, to) = (root.to_str().unwrap(), image.to_str().unwrap());
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", from, to, "16M"]);
    own_drivers(&fs::read(image).unwrap())
}

#[test]
fn systems_that_bring_the_drivers_of_one_machine_are_known_by_their_settings() {
    let by = |program| Some(OwnDrivers::Initramfs(program));
    assert_eq!(own(&[]), None);
    // As Fedora, openSUSE and Debian have it.
    let dist = "usr/lib/dracut/dracut.conf.d/01-dist.conf";
    assert_eq!(own(&[(dist, "# x\nhostonly=\"yes\"\n")]), by("dracut"));
    let undone = [(dist, "hostonly=yes"), ("etc/dracut.conf.d/x.conf", "hostonly=\"no\"")];
    assert_eq!(own(&undone), None);
    assert_eq!(own(&[(dist, "#hostonly=yes\nhostonly_cmdline=yes")]), None);
    let tools = "etc/initramfs-tools/initramfs.conf";
    assert_eq!(own(&[(tools, "# MODULES: most | dep\nMODULES=most\n")]), None);
    assert_eq!(own(&[(tools, "MODULES=dep\n")]), by("update-initramfs"));
    let divided =
        [(tools, "MODULES=most"), ("etc/initramfs-tools/conf.d/driver-policy", "MODULES=dep")];
    assert_eq!(own(&divided), by("update-initramfs"));
    let arch = "etc/mkinitcpio.conf";
    assert_eq!(own(&[(arch, "HOOKS=(base udev autodetect modconf block)")]), by("mkinitcpio"));
    assert_eq!(own(&[(arch, "HOOKS=(base udev modconf block)")]), None);
}
