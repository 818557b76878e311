//! LUKS in logical volumes and on mirrors, judged by `cryptsetup`, lvm2 and e2fsprogs.

use std::fs;
use std::path::Path;

use lifeboat::bytes::ReadAt;
use lifeboat::inspect::{inspect, inspect_unlocked, locked_containers, unlock_in};
use lifeboat::volume::{Alone, Kind, LockedContainer, UnlockError, VolumeKeys};
use tempfile::TempDir;

use crate::luks::{CHEAP, EFFORT, SECRET, decrypted, encrypted, free_of, plain};
use crate::lvm_devices::Devices;
use crate::tools::{self, Volume};
use crate::{ext, mdraid};

const MIB: u64 = 1 << 20;

/// The key of the one container in a volume.
fn key_inside(image: &Path, expected: Option<&str>) -> VolumeKeys {
    let volume = Volume::open(image);
    let containers = locked_containers(&volume, &Alone);
    let [container] = containers.as_slice() else { panic!("{containers:?}") };
    assert_eq!(container.logical_volume.as_deref(), expected);
    let wrong = unlock_in((&volume, &Alone), container, b"?", EFFORT).unwrap_err();
    assert!(matches!(wrong, UnlockError::WrongPassphrase(1)), "{wrong}");
    let gone = LockedContainer { uuid: "gone".into(), ..container.clone() };
    assert!(unlock_in((&volume, &Alone), &gone, SECRET.as_bytes(), EFFORT).is_err());
    let key = unlock_in((&volume, &Alone), container, SECRET.as_bytes(), EFFORT).unwrap();
    VolumeKeys::from([(container.uuid.clone(), key)])
}

#[test]
fn a_container_in_a_logical_volume_or_on_a_mirror_is_stored_by_what_is_used_in_it() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let plain = plain(scratch, 6, "-t ext4 -b 4096");
    let (size, free) = (fs::metadata(&plain).unwrap().len(), free_of(&plain));
    let expected = ext::contents(&plain);
    let sealed = encrypted(scratch, &plain, CHEAP);
    let judge = |content: &Path| {
        let back = decrypted(scratch, content, size);
        assert!(ext::is_sound(&back));
        assert!(ext::contents(&back) == expected);
    };

    let (device, file) = (scratch.join("device"), scratch.join("file"));
    tools::old_medium(&device, 64 * MIB);
    let group = Devices::attach(&[&device]);
    group.make_group(1, &[("secret", "-L 38M")]);
    group.insert("secret", &sealed);
    let place = group.taken("secret", 0);
    drop(group);
    let locked = inspect(&Volume::open(&device));
    assert_eq!(locked.used.intersection(&place), place);
    assert!(locked.warnings[0].starts_with("vg/secret: captured whole: without its passphrase"));
    let keys = key_inside(&device, Some("vg/secret"));
    let found = inspect_unlocked(&Volume::open(&device), &Alone, &keys);
    assert_eq!(found.warnings, Vec::<String>::new());
    assert_eq!(place.total() - found.used.intersection(&place).total(), free);
    let kinds: Vec<Kind> = found.volumes[0].inside.iter().map(|inside| inside.kind).collect();
    assert_eq!((kinds, found.volumes[0].complete), (vec![Kind::Ext4], true));
    let copy = tools::scribbled_copy(&device, &found.used, 0x5a);
    Devices::attach(&[&copy]).extract("secret", &file);
    judge(&file);

    let member = scratch.join("1-2");
    mdraid::make(&member, "1.2", &fs::read(&sealed).unwrap(), &|_| ());
    let keys = key_inside(&member, None);
    let found = inspect_unlocked(&Volume::open(&member), &Alone, &keys);
    assert_eq!(found.warnings, Vec::<String>::new());
    let unused = fs::metadata(&member).unwrap().len() - found.used.total();
    assert_eq!(unused, free);
    let kinds: Vec<Kind> = found.inside.iter().map(|inside| inside.kind).collect();
    assert_eq!(kinds, [Kind::Luks2, Kind::Ext4]);
    let copy = tools::scribbled_copy(&member, &found.used, 0x5a);
    let content = Volume::open(&copy).read_vec(4 << 20, 38 << 20).unwrap();
    fs::write(&file, content).unwrap();
    judge(&file);
}
