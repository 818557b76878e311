//! Windows and macOS by their own files: registries that libhivex wrote, and what Apple writes.

use std::fs;
use std::path::{Path, PathBuf};

use common::tool_with_input;
use lifeboat::inspect::system;
use tempfile::TempDir;

use crate::hfsplus::xorriso_volume;
use crate::ntfs;
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

/// `SystemVersion.plist` as Mac OS X has it.
const PLIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>ProductBuildVersion</key>
	<string>15G31</string>
	<key>ProductName</key>
	<string>Mac OS X</string>
	<key>ProductVersion</key>
	<string>10.11.6</string>
</dict>
</plist>
"#;

#[test]
fn mac_os_is_named_by_its_version_file() {
    let scratch = TempDir::new().unwrap();
    assert_eq!(system(&Volume::open(&xorriso_volume(scratch.path()))), None);
    let services = scratch.path().join("tree/System/Library/CoreServices");
    fs::create_dir_all(&services).unwrap();
    for number in 0..500 {
        // Before and behind what is looked for, in folders before and behind it.
        for folder in ["System", "System/Library", "System/Library/CoreServices"] {
            let name = format!("{folder}/{} of many {number}", ["Any", "Zoo"][number % 2]);
            fs::write(scratch.path().join("tree").join(name), "x").unwrap();
        }
    }
    fs::write(services.join("SystemVersion.plist"), PLIST).unwrap();
    let image = xorriso_volume(scratch.path());
    assert_eq!(system(&Volume::open(&image)).as_deref(), Some("Mac OS X 10.11.6"));
}

/// A cell of a hive.
fn cell(content: &[u8]) -> Vec<u8> {
    let len = (content.len() + 4).next_multiple_of(8);
    let mut cell = (-i32::try_from(len).unwrap()).to_le_bytes().to_vec();
    cell.extend(content);
    cell.resize(len, 0);
    cell
}

/// The least that libhivex can add to: a root key and its security descriptor.
fn empty_hive() -> Vec<u8> {
    let put = |bytes: &mut Vec<u8>, at: usize, value: u32| {
        bytes.splice(at..at + 4, value.to_le_bytes());
    };
    let mut root = vec![0; 76];
    root.splice(..4, *b"nk\x2c\0");
    for at in [16, 28, 32, 40, 48] {
        put(&mut root, at, u32::MAX);
    }
    root[72] = 4;
    root.extend(b"ROOT");
    let security = 32 + u32::try_from(cell(&root).len()).unwrap();
    put(&mut root, 44, security);
    let mut descriptor = b"sk\0\0".to_vec();
    for field in [security, security, 1, 20] {
        descriptor.extend(field.to_le_bytes());
    }
    descriptor.extend([1, 0, 4, 0x80]);
    descriptor.extend([0; 16]);
    let mut page = b"hbin\0\0\0\0\0\x10\0\0".to_vec();
    page.resize(32, 0);
    page.extend(cell(&root));
    page.extend(cell(&descriptor));
    let free = 4096 - u32::try_from(page.len()).unwrap();
    page.extend(free.to_le_bytes());
    page.resize(4096, 0);
    let mut base = vec![0; 4096];
    base.splice(..4, *b"regf");
    for (at, value) in [(4, 1), (8, 1), (20, 1), (24, 3), (32, 1), (36, 32), (40, 4096), (44, 1)] {
        put(&mut base, at, value);
    }
    let word = |piece: &[u8]| u32::from_le_bytes(piece.try_into().unwrap());
    let sum = base[..508].chunks_exact(4).map(word).fold(0, |sum, word| sum ^ word);
    put(&mut base, 508, sum);
    base.extend(page);
    base
}

/// A `SOFTWARE` hive with these values, and `others` keys beside the one that matters.
fn software(scratch: &Path, values: &[(&str, &str)], others: usize) -> PathBuf {
    let hive = scratch.join("SOFTWARE");
    fs::write(&hive, empty_hive()).unwrap();
    let mut script = String::from("cd \\\nadd Classes\nadd Microsoft\ncd Microsoft\n");
    for number in 0..others {
        script += &format!("add Product {number}\n");
    }
    script += "add Windows NT\ncd Windows NT\nadd CurrentVersion\ncd CurrentVersion\n";
    script += &format!("setval {}\nInstallDate\ndword:1700000000\n", values.len() + 1);
    for (name, value) in values {
        script += &format!("{name}\nstring:{value}\n");
    }
    script += "commit\n";
    tool_with_input("hivexsh", &["-w", hive.to_str().unwrap()], script);
    hive
}

/// A registry and the name that follows from it.
struct Case {
    values: &'static [(&'static str, &'static str)],
    /// Keys beside the one that matters.
    others: usize,
    /// Options of `mkntfs`.
    options: &'static str,
    expected: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        values: &[
            ("ProductName", "Windows 10 Pro"),
            ("CurrentBuild", "22631"),
            ("DisplayVersion", "23H2"),
            ("ReleaseId", "2009"),
        ],
        others: 1500,
        options: "-c 4096",
        expected: Some("Windows 11 Pro 23H2"),
    },
    Case {
        values: &[
            ("ReleaseId", "1909"),
            ("CurrentBuild", "18363"),
            ("ProductName", "Windows 10 Home"),
        ],
        others: 3,
        options: "-c 512",
        expected: Some("Windows 10 Home 1909"),
    },
    Case {
        values: &[
            ("ProductName", "Windows 7 Professional"),
            ("CurrentBuildNumber", "7601"),
            ("CSDVersion", "Service Pack 1"),
        ],
        others: 0,
        options: "-c 65536",
        expected: Some("Windows 7 Professional Service Pack 1"),
    },
    Case {
        values: &[("ProductName", "Windows Server 2022 Standard"), ("CurrentBuild", "20348")],
        others: 40,
        options: "-c 4096",
        expected: Some("Windows Server 2022 Standard"),
    },
    Case { values: &[("CurrentBuild", "20348")], others: 0, options: "-c 4096", expected: None },
];

#[test]
fn windows_is_named_by_its_registry() {
    for Case { values, others, options, expected } in CASES {
        let scratch = TempDir::new().unwrap();
        let hive = software(scratch.path(), values, *others);
        let image = scratch.path().join("image");
        tools::sparse_medium(&image, 24 * MIB);
        ntfs::format(&image, &format!("-Q {options}"));
        {
            let mount = ntfs::Mount::new(&image, "rw");
            let folder = mount.path().join("Windows/System32/config");
            fs::create_dir_all(&folder).unwrap();
            fs::copy(&hive, folder.join("SOFTWARE")).unwrap();
            for number in 0..300 {
                let name = format!("Windows/System32/some library with a long name {number}.dll");
                fs::write(mount.path().join(name), "x").unwrap();
            }
        }
        assert_eq!(system(&Volume::open(&image)).as_deref(), *expected, "{values:?}");
    }
}
