//! The log of XFS, judged by `xfs_logprint`.

use std::fs;
use std::path::Path;

use common::{Random, tool};
use lifeboat::volume::{Coverage, State};
use tempfile::TempDir;

use crate::tools::{self, Mount};
use crate::xfs::{format, inspect};

const MIB: u64 = 1 << 20;

fn logprint(image: &Path) -> String {
    tool("xfs_logprint", &["-t", image.to_str().unwrap()])
}

/// Where `xfs_logprint` sees the end of the log's newest part.
fn head(image: &Path) -> u64 {
    let answer = logprint(image);
    answer.split("head: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Whether `xfs_logprint` calls the log clean.
pub fn is_clean(image: &Path) -> bool {
    let answer = logprint(image);
    let clean = answer.contains("state: <CLEAN>");
    assert!(clean || answer.contains("state: <DIRTY>"), "{answer}");
    clean
}

/// The state of an image against `xfs_logprint`'s word.
pub fn check_state(image: &Path, name: &str) -> bool {
    let found = inspect(image);
    let clean = is_clean(image);
    let state = found.filesystem.unwrap().state;
    if clean {
        assert_eq!((found.coverage, state), (Coverage::Used, State::Clean), "{name}");
    } else {
        assert_eq!(found.coverage, Coverage::Whole, "{name}");
        assert!(found.warnings[0].contains("log was not replayed"), "{:?}", found.warnings);
        assert!(matches!(state, State::Dirty(_)), "{name}: {state:?}");
    }
    clean
}

#[test]
fn xfs_logs_are_clean_or_dirty_as_xfs_logprint_says() {
    let scratch = TempDir::new().unwrap();
    let mut numbers = Random::new(51);
    for (name, mib, options, mount_options) in [
        ("default", 64, "", "rw"),
        ("large-records", 64, "-l su=32k -b size=1024", "logbsize=256k"),
        ("stripes", 96, "-d agcount=2 -l su=256k", "logbsize=256k"),
        ("sectors", 64, "-s size=4096", "logbsize=16k"),
    ] {
        let image = scratch.path().join(name);
        let copy = scratch.path().join("copy");
        tools::sparse_medium(&image, mib * MIB);
        format(&image, options);
        let (mut seen, mut heads) = ([0, 0], Vec::new());
        for round in 0..12 {
            let mount = Mount::new(&image, "xfs", mount_options);
            let folder = mount.path().join("folder");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            for index in 0..numbers.below(1500) {
                fs::write(folder.join(format!("a rather long name {index}")), [1; 50]).unwrap();
                if index % 100 == 99 {
                    fs::File::open(&folder).unwrap().sync_all().unwrap();
                }
            }
            let cut_off = round % 4 == 3;
            if cut_off {
                let how = if round % 8 == 3 { "shutdown" } else { "shutdown -f" };
                let folder = mount.path().to_str().unwrap();
                tool("xfs_io", &["-x", "-c", how, folder]);
            } else {
                tool("sync", &["-f", mount.path().to_str().unwrap()]);
                fs::copy(&image, &copy).unwrap();
                seen[usize::from(check_state(&copy, name))] += 1;
            }
            drop(mount);
            let clean = check_state(&image, name);
            assert!(clean || cut_off, "{name}: unmounted");
            seen[usize::from(clean)] += 1;
            heads.push(head(&image));
            if round == 3 {
                tool("xfs_repair", &["-L", "-o", "force_geometry", image.to_str().unwrap()]);
                assert!(check_state(&image, name), "{name}: a log that was started anew");
            }
        }
        assert!(!heads.is_sorted(), "{name}: the log was written from end to end only once");
        assert!(seen[0] >= 9 && seen[1] >= 9, "{name}: {seen:?}");
        fs::remove_file(&image).unwrap();
    }
}
