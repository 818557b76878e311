use clap::Parser;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::super::*;
use super::*;
use crate::image::chunks::ChunkSize;
use crate::image::left_out::Excluded;
use crate::layout::Mode;
use crate::operation::{Compression, Format, PlaceFilesystem, Reading};
use crate::store::Location;

#[derive(Debug, Parser)]
#[command(name = "lifeboat")]
struct Program {
    #[command(subcommand)]
    verb: Verb,
}

fn parsed(words: &[OsString]) -> Verb {
    let program = std::iter::once(OsString::from("lifeboat")).chain(words.iter().cloned());
    match Program::try_parse_from(program) {
        Ok(program) => program.verb,
        Err(error) => panic!("{words:?}: {error}"),
    }
}

/// Names that an argument may have: bytes of any kind, option-like ones, words with blanks.
fn name() -> impl Strategy<Value = OsString> {
    let bytes = vec(1u8.., 1..12).prop_map(OsString::from_vec);
    prop_oneof![bytes, Just("--erase".into()), Just("-".into()), Just("it's a, disk".into())]
}

fn path() -> impl Strategy<Value = PathBuf> {
    name().prop_map(PathBuf::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{1,12}", Just("-1".to_owned()), Just("latest".to_owned())]
}

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 1..4)
}

fn sector_size() -> impl Strategy<Value = Option<u32>> {
    option::of(prop_oneof![Just(512u32), Just(4096)])
}

fn repo() -> impl Strategy<Value = RepoArgs> {
    let location = prop_oneof![
        path().prop_filter_map("a location", |path| Location::from_os(path.as_os_str()).ok()),
        ("[a-z0-9]{1,6}", "[a-zA-Z ]{1,9}").prop_map(|(device, folder)| Location::Partition {
            device: PathBuf::from("/dev").join(device),
            folder: folder.into(),
        }),
        "(rest:https://([a-z]@)?|s3:http://|sftp:)[a-z]{1,6}:/[a-z]{1,9}"
            .prop_filter_map("an address", |word| word.parse().ok()),
    ]
    .boxed();
    (location, option::of(path()), option::of(path()))
        .prop_map(|(repo, cacert, passphrase_file)| RepoArgs { repo, cacert, passphrase_file })
}

fn reading() -> impl Strategy<Value = Reading> {
    let used = any::<(bool, bool)>().prop_map(|(skip_unpartitioned, trust_unclosed)| {
        Reading::Used { skip_unpartitioned, trust_unclosed }
    });
    prop_oneof![used, Just(Reading::Whole)]
}

prop_compose! {
    fn source()(
        source in path(),
        partitions in option::of(numbers()),
        in_use: bool,
        reading in reading(),
        unlock in option::of((vec(any::<u32>(), 0..3), option::of(path()))),
        retries: u32,
        map in option::of(path()),
        sector_size in sector_size(),
    ) -> SourceArgs {
        let (unlock, unlock_file) = unlock.unzip();
        let unlock_file = unlock_file.flatten();
        SourceArgs { source, partitions, in_use, reading, unlock, unlock_file, retries, map, sector_size }
    }
}

prop_compose! {
    fn sizes()(
        layout in option::of(prop_oneof![Just(Mode::Keep), Just(Mode::Fit)]),
        size_of in vec(any::<(u32, u64)>(), 0..3),
        grow in vec(any::<u32>(), 0..3),
        shrink in vec(any::<u32>(), 0..3),
        scratch in option::of(path()),
    ) -> SizeArgs {
        let size_of = size_of.into_iter().map(|(number, size)| SizeOf { number, size }).collect();
        SizeArgs { layout, size_of, grow, shrink, scratch }
    }
}

prop_compose! {
    fn target()(
        target in path(),
        erase in name(),
        only_changed: bool,
        no_read_back: bool,
        size in option::of(any::<u64>()),
        no_nvram: bool,
        sizes in sizes(),
    ) -> TargetArgs {
        TargetArgs { target, erase: Some(erase), only_changed, no_read_back, size, no_nvram, sizes }
    }
}

prop_compose! {
    fn capture()(
        source in source(),
        repo in repo(),
        level in prop_oneof![
            Just(Compression::Fast), Just(Compression::Balanced), Just(Compression::Small)
        ],
        shift in 12u32..=24,
        keep_map: bool,
        keep_swap_files: bool,
        exclude in vec((any::<u32>(), "[a-z é,'-][a-z/é,-]{0,6}[a-z]"), 0..3),
        scratch in option::of(path()),
        tag in vec("[a-z -]{1,6}[a-z]".prop_filter_map("a tag", |tag| tag.parse().ok()), 0..3),
        note in option::of(text()),
        flags: (bool, bool, bool, bool),
    ) -> Verb {
        let chunk_size = ChunkSize::new(1 << shift).unwrap();
        let keep_map = keep_map && source.map.is_none();
        let (verify_all, in_memory, plan, json) = flags;
        let exclude = exclude.into_iter().map(|(partition, path)| Excluded { partition, path });
        let exclude = exclude.collect();
        Verb::Capture(Box::new(CaptureArgs {
            source, repo, level, chunk_size, keep_map, keep_swap_files, exclude, scratch, tag, note, verify_all,
            in_memory, plan, json,
        }))
    }
}

prop_compose! {
    fn clone()(source in source(), target in target(), flags: (bool, bool, bool)) -> Verb {
        let (mend_table, plan, json) = flags;
        let mend_table = mend_table && source.partitions.is_none();
        Verb::Clone(Box::new(CloneArgs { source, target, mend_table, plan, json }))
    }
}

prop_compose! {
    fn restore()(
        image in text(),
        of_disk in option::of(text()),
        target in target(),
        repo in repo(),
        what in prop_oneof![
            Just(What::Disk),
            numbers().prop_map(What::Partitions),
            (text(), vec(text(), 0..3)).prop_map(|(name, with)| What::Volume { name, with }),
        ],
        flags: (bool, bool, bool, bool),
        format in option::of(Just(Format::VhdFixed)),
        sector_size in sector_size(),
    ) -> Verb {
        let (verify_first, mend_table, plan, json) = flags;
        let format = format.filter(|_| !target.only_changed);
        let mend_table = mend_table && what == What::Disk;
        Verb::Restore(Box::new(RestoreArgs {
            image, of_disk, target, repo, what, verify_first, mend_table, plan, format,
            sector_size, json
        }))
    }
}

prop_compose! {
    fn forget()(
        images in vec(text(), 0..3),
        disk in option::of(text()),
        keep in (1u32..9, option::of(1u32..), option::of(1u32..)),
        flags: (bool, bool, bool, bool, bool),
        max_unused: u8,
        repo in repo(),
    ) -> Verb {
        let (yes, all, dry_run, prune, json) = flags;
        let by_rules = images.is_empty() && !all;
        let all = all && images.is_empty();
        let (last, daily, yearly) = keep;
        let keep = KeepArgs {
            keep_last: Some(last), keep_daily: daily, keep_yearly: yearly, ..KeepArgs::default()
        };
        Verb::Forget(ForgetArgs {
            images,
            disk: disk.filter(|_| !all),
            yes: yes && (by_rules || all),
            all,
            keep: if by_rules { keep } else { KeepArgs::default() },
            dry_run,
            prune,
            unused: UnusedArgs { max_unused },
            work: WorkArgs { repo, json },
        })
    }
}

fn key(repo: RepoArgs, (flag, json): (bool, bool), number: u8) -> Verb {
    let new_passphrase_file = repo.passphrase_file.clone();
    let work = WorkArgs { repo, json };
    let work = match flag {
        true => KeyVerb::Remove(RemoveKeyArgs { key: number.to_string(), work }),
        false => KeyVerb::Add(NewKeyArgs { new_passphrase_file, work }),
    };
    Verb::Key(KeyArgs { work })
}

fn others() -> impl Strategy<Value = Verb> {
    let repair = (any::<(bool, bool)>(), repo()).prop_map(|((index, json), repo)| {
        let part = WorkArgs { repo, json };
        let target = if index { RepairTarget::Index(part) } else { RepairTarget::Packs(part) };
        Verb::Repair(RepairArgs { target })
    });
    let filesystem = prop_oneof![Just(PlaceFilesystem::Ext4), Just(PlaceFilesystem::Exfat)];
    let prepare = (path(), name(), filesystem, option::of(text()), any::<(bool, bool)>());
    let prepare = prepare.prop_map(|(disk, erase, filesystem, label, (plan, json))| {
        let (erase, sector_size) = (Some(erase), None);
        Verb::Prepare(PrepareArgs { disk, erase, filesystem, label, plan, sector_size, json })
    });
    let named = (text(), option::of(text()), repo(), any::<(bool, bool)>());
    let named = named.prop_map(|(image, disk, repo, (show, json))| match show {
        true => Verb::Show(ShowArgs { image, from: FromArgs { disk, repo }, json }),
        false => Verb::Verify(VerifyArgs {
            image: Some(image),
            disk,
            boot: BootTestArgs::default(),
            work: WorkArgs { repo, json },
        }),
    });
    let browse = (text(), option::of(text()), option::of(text()), repo(), any::<(bool, bool)>());
    let browse = browse.prop_map(|(place, name, disk, repo, (long, json))| {
        let listed = ListArgs { long, from: FromArgs { disk, repo } };
        match name {
            Some(name) => Verb::Find(FindArgs { place, name, listed, json }),
            None => Verb::Ls(LsArgs { place, listed, json }),
        }
    });
    let diff = (text(), text(), option::of(text()), repo(), any::<bool>());
    let diff = diff.prop_map(|(before, after, disk, repo, json)| {
        Verb::Diff(DiffArgs { before, after, from: FromArgs { disk, repo }, json })
    });
    let rest = (0..8u8, repo(), any::<(bool, bool)>(), any::<u8>());
    let rest = rest.prop_map(|(which, repo, (flag, json), max_unused)| match which {
        0 => Verb::Disks(DisksArgs {
            disks: repo.passphrase_file.into_iter().collect(),
            sector_size: None,
            json,
        }),
        1 => Verb::Init(InitArgs { place: None, repo, no_passphrase: flag, in_memory: json }),
        2 if flag => Verb::Images(ImagesArgs { repo, json }),
        2 => Verb::Stats(ImagesArgs { repo, json }),
        7 => key(repo, (flag, json), max_unused),
        3 => Verb::Verify(VerifyArgs {
            image: None,
            disk: None,
            boot: BootTestArgs::default(),
            work: WorkArgs { repo, json },
        }),
        4 => Verb::Check(CheckArgs { read_data: flag, work: WorkArgs { repo, json } }),
        6 => Verb::CheckMedium(CheckMediumArgs { medium: flag.then(|| "/dev/sdb".into()), json }),
        5 => Verb::Unlock(UnlockArgs { all: flag, repo }),
        _ => {
            let (unused, work) = (UnusedArgs { max_unused }, WorkArgs { repo, json });
            Verb::Prune(PruneArgs { dry_run: flag, unused, work })
        }
    });
    let copy = (text(), path(), option::of(text()), repo(), any::<bool>());
    let copy = copy.prop_map(|(place, to, disk, repo, json)| {
        Verb::Copy(CopyArgs { place, to, from: FromArgs { disk, repo }, json })
    });
    prop_oneof![repair, prepare, stick(), named, opened(), diff, copy, browse, rest]
}

fn stick() -> impl Strategy<Value = Verb> {
    let flags = any::<(bool, bool, bool, bool)>();
    (path(), name(), option::of(path()), flags).prop_map(|(disk, erase, iso, flags)| {
        let (data_only, new_data, plan, json) = flags;
        let (erase, iso) = (Some(erase), iso.filter(|_| !data_only));
        Verb::MakeStick(StickArgs { disk, erase, iso, data_only, new_data, plan, json })
    })
}

/// The verbs that open images to other programs.
fn opened() -> impl Strategy<Value = Verb> {
    let mount = (text(), path(), layer(), option::of(text()), repo());
    let mount = mount.prop_map(|(image, dir, layer, disk, repo)| {
        Verb::Mount(MountArgs { image, dir, layer, from: FromArgs { disk, repo } })
    });
    let address = any::<(bool, std::net::SocketAddrV4)>();
    let serve = (vec(text(), 1..3), path(), address, layer(), option::of(text()), repo());
    let serve = serve.prop_map(|(images, path, (is_socket, port), layer, disk, repo)| {
        let usual = std::net::SocketAddr::from(([127, 0, 0, 1], 10809));
        let (socket, listen) = if is_socket { (Some(path), usual) } else { (None, port.into()) };
        Verb::Serve(ServeArgs { images, socket, listen, layer, from: FromArgs { disk, repo } })
    });
    prop_oneof![mount, serve]
}

fn layer() -> impl Strategy<Value = LayerArgs> {
    (any::<bool>(), option::of(path())).prop_map(|(writable, changes)| LayerArgs {
        writable,
        changes: changes.filter(|_| writable),
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![capture(), clone(), restore(), forget(), others()]
}

proptest! {
    #[test]
    fn every_verb_is_parsed_from_the_arguments_it_tells(verb in verb()) {
        prop_assert_eq!(parsed(&verb.to_args()), verb);
    }

    #[test]
    fn every_verb_is_read_from_what_is_written_of_it(verb in verb()) {
        let json = serde_json::to_string(&verb).unwrap();
        prop_assert_eq!(serde_json::from_str::<Verb>(&json).unwrap(), verb);
    }
}

/// The words of a command as a shell sees them.
fn shell_words(command: &str) -> Vec<OsString> {
    let script = format!("for word in {command}; do printf '%s\\0' \"$word\"; done");
    let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let words = String::from_utf8(shell.stdout).unwrap();
    words.split_terminator('\0').map(Into::into).collect()
}

#[test]
fn a_shell_passes_on_the_words_of_a_command_line() {
    let location = "partition:/dev/sdb1:/it's my place".parse().unwrap();
    let mut capture = CaptureArgs::all_of("/dev/disk/by-id/a $b", RepoArgs::at(location));
    capture.source.partitions = Some(vec![1, 3]);
    let verb = Verb::Capture(Box::new(capture));
    let line = verb.command_line();
    assert_eq!(
        line,
        "lifeboat capture '/dev/disk/by-id/a $b' --partitions 1,3 \
         --repo 'partition:/dev/sdb1:/it'\\''s my place'"
    );
    assert_eq!(parsed(shell_words(&line).get(1..).unwrap()), verb);
    assert_eq!(quoted(""), "''");
}

#[test]
fn what_is_usual_is_left_out() {
    let verb = Verb::Prune(PruneArgs {
        dry_run: false,
        unused: UnusedArgs::default(),
        work: WorkArgs { repo: RepoArgs::at("/srv/images".parse().unwrap()), json: false },
    });
    assert_eq!(verb.to_args(), ["prune", "--repo", "/srv/images"]);
    let unset = r#"{"capture": {"source": "/dev/sda", "repo": "/srv/images"}}"#;
    let Verb::Capture(capture) = serde_json::from_str(unset).unwrap() else { panic!() };
    assert_eq!(
        capture,
        Box::new(CaptureArgs::all_of("/dev/sda", RepoArgs::at("/srv/images".parse().unwrap())))
    );
}
