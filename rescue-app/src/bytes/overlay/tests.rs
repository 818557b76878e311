use std::thread;

use proptest::prelude::*;

use super::*;

const BLOCK: u64 = OVERLAY_BLOCK;
const SIZE: u64 = 5 * BLOCK + 1234;

fn base() -> Vec<u8> {
    (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn in_memory(memory: u64) -> OverlayRoom {
    OverlayRoom { memory, folder: None }
}

fn pairs(set: &Extents) -> Vec<(u64, u64)> {
    set.iter().map(|it| (it.start, it.end)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    Zero(u64, usize),
    Read(u64, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![0..SIZE, (0..6u64).prop_map(|block| block * BLOCK)];
    let len = prop_oneof![0..3usize, 0..200_000usize, Just(65_536usize)];
    (0..3u8, at, len, any::<u8>()).prop_map(|(kind, at, len, byte)| match kind {
        0 => Step::Write(at, len, byte),
        1 => Step::Zero(at, len),
        _ => Step::Read(at, len),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_what_bytes_in_memory_would_be(
        steps in prop::collection::vec(any_step(), 1..12), blocks in 0..8u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = Some(folder.path().to_owned());
        let base = base();
        let overlay =
            Overlay::new(base.clone(), OverlayRoom { memory: blocks * BLOCK, folder });
        let mut model = base.clone();
        for step in steps {
            let (Step::Write(at, len, _) | Step::Zero(at, len) | Step::Read(at, len)) = step;
            let start = usize::try_from(at).unwrap();
            let inside = start + len <= model.len();
            match step {
                Step::Write(_, _, byte) => {
                    prop_assert_eq!(overlay.write_at(at, &vec![byte; len]).is_ok(), inside);
                    if inside { model[start..start + len].fill(byte); }
                }
                Step::Zero(..) => {
                    prop_assert_eq!(overlay.zero_at(at, len as u64).is_ok(), inside);
                    if inside { model[start..start + len].fill(0); }
                }
                Step::Read(..) => {
                    let read = overlay.read_vec(at, len).ok();
                    let expected = inside.then(|| model[start..start + len].to_vec());
                    prop_assert!(read == expected);
                }
            }
        }
        prop_assert!(overlay.read_vec(0, model.len()).unwrap() == model);
        prop_assert!(*overlay.base() == base, "the base stays");
        // What differs is said to differ, and what is said to be zero is.
        let changes = overlay.changes();
        let bytes = |it: crate::bytes::Extent| {
            usize::try_from(it.start).unwrap()..usize::try_from(it.end).unwrap()
        };
        let same = changes.data.union(&changes.zero).gaps_within(0, SIZE);
        prop_assert!(same.iter().all(|it| model[bytes(it)] == base[bytes(it)]));
        prop_assert!(changes.zero.iter().all(|it| is_zero(&model[bytes(it)])));
    }
}

#[test]
fn changes_are_whole_blocks_and_zeros_take_no_room() {
    let overlay = Overlay::new(base(), in_memory(BLOCK));
    overlay.write_at(BLOCK + 5, &[1]).unwrap();
    overlay.zero_at(0, BLOCK).unwrap();
    overlay.write_at(5 * BLOCK, &[0; 1234]).unwrap();
    let changes = overlay.changes();
    assert_eq!(pairs(&changes.data), [(BLOCK, 2 * BLOCK)]);
    assert_eq!(pairs(&changes.zero), [(0, BLOCK), (5 * BLOCK, SIZE)]);
    let all = Extents::of(0, SIZE);
    assert_eq!(pairs(&changes.over(&all)), [(BLOCK, 5 * BLOCK)]);
    let cut = overlay.changes_within(BLOCK + 10, BLOCK + 20);
    assert_eq!((pairs(&cut.data), cut.zero.count()), (vec![(BLOCK + 10, BLOCK + 20)], 0));
    // The room of a block that is zero again is there for another.
    assert!(overlay.write_at(2 * BLOCK, &[1]).is_err());
    overlay.zero_at(BLOCK, BLOCK).unwrap();
    overlay.write_at(2 * BLOCK, &[1]).unwrap();
}

#[test]
fn zeros_are_kept_as_runs() {
    struct Huge;
    impl ReadAt for Huge {
        fn size(&self) -> u64 {
            1 << 60
        }
        fn read_at(&self, _: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.fill(1);
            Ok(())
        }
    }
    let overlay = Overlay::new(Huge, in_memory(BLOCK));
    overlay.zero_at(10, (1 << 60) - 10).unwrap();
    overlay.write_at(1 << 50, &[7]).unwrap_err();
    overlay.zero_at(0, 10).unwrap();
    overlay.write_at(1 << 50, &[7]).unwrap();
    assert_eq!(overlay.read_lock().runs.len(), 3);
    assert_eq!(overlay.read_vec((1 << 50) - 1, 3).unwrap(), [0, 7, 0]);
    overlay.zero_at(1 << 50, 1).unwrap();
    assert_eq!(overlay.read_lock().runs.len(), 1);
    assert_eq!(pairs(&overlay.changes().zero), [(0, 1 << 60)]);
}

#[test]
fn without_room_writing_fails_and_nothing_is_lost() {
    let overlay = Overlay::new(base(), in_memory(BLOCK));
    overlay.write_at(0, &[7; 10]).unwrap();
    let full = overlay.write_at(BLOCK, &[8; 10]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert!(full.to_string().contains("64 KiB"), "{full}");
    overlay.write_at(3, &[9]).unwrap();
    assert_eq!(overlay.read_vec(0, 5).unwrap(), [7, 7, 7, 9, 7]);
    assert_eq!(overlay.read_vec(BLOCK, 10).unwrap(), base()[65_536..65_546]);
    let folder = Some("/nowhere/at/all".into());
    let overlay = Overlay::new(base(), OverlayRoom { memory: 0, folder });
    let error = overlay.write_at(0, &[1]).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

#[test]
fn the_file_is_used_again_and_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let room = OverlayRoom { memory: 0, folder: Some(folder.path().to_owned()) };
    let overlay = Overlay::new(base(), room);
    for round in 1..20 {
        overlay.write_at(0, &[round; 70_000]).unwrap();
        overlay.zero_at(0, 2 * BLOCK).unwrap();
    }
    overlay.write_at(BLOCK, &[3; 10]).unwrap();
    assert_eq!(overlay.read_vec(BLOCK, 11).unwrap()[..], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0]);
    assert_eq!(overlay.read_lock().in_file(), 2 * BLOCK);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn writers_of_one_block_do_not_undo_each_other() {
    let overlay = Overlay::new(base(), in_memory(SIZE + BLOCK));
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let overlay = &overlay;
            scope.spawn(move || {
                for at in 0..2000u64 {
                    let at = 4 * at + u64::from(thread);
                    overlay.write_at(at, &[thread + 1]).unwrap();
                }
            });
        }
    });
    let bytes = overlay.read_vec(0, 8000).unwrap();
    assert!(bytes.chunks(4).all(|four| four == [1, 2, 3, 4]));
}
