//! Stock restic and we on the same repository, both ways.

use std::fs;

use crate::fixture::{disk, init, open, read_all, save};
use crate::stock_restic::{Restic, files_below};

#[test]
fn restic_checks_lists_and_restores_what_we_store() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (disk(1, 5_000_001), disk(2, 3_000_000));
    let first_id = save(&repo, &first);
    let second_id = save(&repo, &second);
    restic.check();
    let listed = restic.ok(&["snapshots"]);
    assert!(listed.contains(&first_id.short()) && listed.contains("/machine/disk.img"), "{listed}");
    for (id, bytes) in [(first_id, &first), (second_id, &second)] {
        let target = restic.path(&id.short());
        restic.ok(&["restore", &id.to_string(), "--target", target.to_str().unwrap()]);
        assert!(fs::read(target.join("machine/disk.img")).unwrap() == *bytes);
    }
}

#[test]
fn we_read_what_restic_made_and_pruned() {
    let restic = Restic::new();
    restic.ok(&["init"]);
    let source = restic.path("source");
    for (name, seed) in [("a/b/first", 3), ("a/second", 4), ("third", 5)] {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, disk(seed, 4_000_000)).unwrap();
    }
    fs::write(source.join("empty"), "").unwrap();
    restic.ok(&["backup", "source"]);
    fs::write(source.join("a/second"), disk(6, 3_500_000)).unwrap();
    restic.ok(&["backup", "source"]);
    restic.ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);

    let repo = open(&restic);
    let list = repo.snapshots().unwrap();
    assert_eq!((list.snapshots.len(), list.damaged.len()), (1, 0));
    let read = read_all(&repo, &list.snapshots[0].snapshot.tree);
    let prefix = source.to_str().unwrap().to_owned() + "/";
    let files = files_below(&source);
    assert_eq!(read.len(), files.len());
    for path in files {
        let name = path.to_str().unwrap().strip_prefix(&prefix).unwrap();
        let found = read.iter().find(|(path, _)| path.ends_with(&format!("source/{name}")));
        assert!(*found.expect("the file is in the snapshot").1 == fs::read(&path).unwrap());
    }
}

#[test]
fn restic_works_on_in_our_repository() {
    let restic = Restic::new();
    let repo = init(&restic);
    let old = save(&repo, &disk(7, 6_000_000));
    let kept = disk(8, 6_000_000);
    save(&repo, &kept);
    fs::write(restic.path("file"), disk(9, 2_000_000)).unwrap();
    restic.ok(&["backup", "file"]);
    restic.ok(&["forget", &old.to_string()]);
    restic.ok(&["prune", "--max-unused", "0"]);
    restic.check();
    let repo = open(&restic);
    let list = repo.snapshots().unwrap().snapshots;
    assert_eq!(list.len(), 2);
    let ours = list.iter().find(|file| file.snapshot.hostname == "host").unwrap();
    assert!(read_all(&repo, &ours.snapshot.tree)["/machine/disk.img"] == kept);
}
