use std::io::Cursor;

use proptest::prelude::*;

use super::handshake::{Agreed, negotiate};
use super::transmission::answer_all;
use super::*;
use crate::bytes::{Extents, Overlay, OverlayRoom};
use crate::export::{ExportedFile, FileBytes};

const SIZE: u64 = 1 << 20;

/// A client that says what it has to say whatever it is answered.
struct Client {
    says: Cursor<Vec<u8>>,
    hears: Vec<u8>,
}

impl Client {
    fn saying(parts: &[&[u8]]) -> Self {
        Self { says: Cursor::new(parts.concat()), hears: Vec::new() }
    }
}

impl Read for Client {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.says.read(buf)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hears.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of which the first half is used.
fn file(name: &str, is_writable: bool) -> ExportedFile {
    let mut bytes = vec![7; usize::try_from(SIZE).unwrap()];
    bytes[usize::try_from(SIZE / 2).unwrap()..].fill(0);
    let data = Extents::of(0, SIZE / 2);
    if is_writable {
        let room = OverlayRoom { memory: SIZE, folder: None };
        let bytes = Arc::new(Overlay::new(bytes, room));
        return ExportedFile { data, ..ExportedFile::writable(name, bytes) };
    }
    ExportedFile { name: name.into(), content: FileBytes::Fixed(Box::new(bytes)), data }
}

fn exports() -> Exports {
    let files = vec![file("disk.img", false), file("manifest.json", false), file("1-a.img", true)];
    let other = vec![file("disk.img", false)];
    Exports::new(vec![
        ServedImage { id: "0123".into(), files },
        ServedImage { id: "4567".into(), files: other },
    ])
}

fn option(kind: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [b"IHAVEOPT".as_slice(), &kind.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// The kinds of answers to options, after the greeting.
fn answers(heard: &[u8]) -> Vec<u32> {
    let (mut rest, mut kinds) = (&heard[18..], Vec::new());
    while let Some((head, after)) = rest.split_at_checked(20) {
        assert_eq!(head[..8], 0x0003_e889_0455_65a9u64.to_be_bytes());
        kinds.push(u32::from_be_bytes(head[12..16].try_into().unwrap()));
        let len = u32::from_be_bytes(head[16..].try_into().unwrap());
        rest = &after[usize::try_from(len).unwrap()..];
    }
    kinds
}

fn name(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A request for block status of an export.
fn contexts(export: &str, queries: &[&str]) -> Vec<u8> {
    let count = u32::try_from(queries.len()).unwrap().to_be_bytes();
    let queries: Vec<u8> = queries.iter().flat_map(|query| name(query)).collect();
    [name(export), count.to_vec(), queries].concat()
}

fn request(kind: u16, flags: u16, offset: u64, len: u32, payload: &[u8]) -> Vec<u8> {
    let head = [&0x2560_9513u32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes()];
    let place = [&9u64.to_be_bytes()[..], &offset.to_be_bytes(), &len.to_be_bytes()];
    [head.concat(), place.concat(), payload.to_vec()].concat()
}

/// What the server answers to requests for an export; the client then goes.
fn heard(file: &ExportedFile, structured: bool, requests: &[Vec<u8>]) -> Vec<u8> {
    let mut client = Client::saying(&[&requests.concat(), &request(2, 0, 0, 0, &[])]);
    let agreed = Agreed { export: 0, structured, allocation: structured };
    answer_all(&mut client, file, agreed).unwrap();
    client.hears
}

fn simple(failure: u32) -> Vec<u8> {
    [&0x6744_6698u32.to_be_bytes()[..], &failure.to_be_bytes(), &9u64.to_be_bytes()].concat()
}

fn chunk(flags: u16, kind: u16, data: &[u8]) -> Vec<u8> {
    let head = [&0x668e_33efu32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes()];
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&head.concat()[..], &9u64.to_be_bytes(), &len, data].concat()
}

#[test]
fn the_oldest_way_to_choose_an_export_gets_the_zeros_that_belong_to_it() {
    for (flags, len) in [(1u32, 18 + 10 + 124), (3, 18 + 10)] {
        let mut client = Client::saying(&[&flags.to_be_bytes(), &option(1, b"1-a")]);
        let agreed = negotiate(&mut client, &exports()).unwrap();
        assert_eq!(agreed, Some(Agreed { export: 1, structured: false, allocation: false }));
        assert_eq!(client.hears.len(), len);
        assert_eq!(client.hears[18..26], SIZE.to_be_bytes());
    }
    let mut client = Client::saying(&[&3u32.to_be_bytes(), &option(1, b"manifest.json")]);
    assert!(negotiate(&mut client, &exports()).is_err());
    let mut client = Client::saying(&[&7u32.to_be_bytes(), &option(1, b"")]);
    assert!(negotiate(&mut client, &exports()).is_err(), "a flag that nobody knows");
}

#[test]
fn block_status_is_agreed_on_for_one_export_after_structured_replies() {
    let go = |export: &str| option(7, &[&name(export)[..], &[0, 0]].concat());
    let set = option(10, &contexts("4567/disk", &["other:x", "base:allocation"]));
    let options = [set.clone(), option(8, &[]), set, go("nothing"), go("4567/disk")].concat();
    let mut client = Client::saying(&[&3u32.to_be_bytes(), &options]);
    let agreed = negotiate(&mut client, &exports()).unwrap();
    assert_eq!(agreed, Some(Agreed { export: 2, structured: true, allocation: true }));
    let (invalid, unknown) = ((1u32 << 31) + 3, (1u32 << 31) + 6);
    assert_eq!(answers(&client.hears), [invalid, 1, 4, 1, unknown, 3, 3, 1]);

    let set = option(10, &contexts("4567/disk", &["base:allocation"]));
    let options = [option(8, &[]), set, go("")].concat();
    let mut client = Client::saying(&[&3u32.to_be_bytes(), &options]);
    let agreed = negotiate(&mut client, &exports()).unwrap();
    assert_eq!(agreed, Some(Agreed { export: 0, structured: true, allocation: false }));

    let ask = |queries: &[&str]| option(9, &contexts("", queries));
    let options = [option(8, &[]), ask(&[]), ask(&["base:"]), ask(&["qemu:"]), option(2, &[])];
    let mut client = Client::saying(&[&3u32.to_be_bytes(), &options.concat()]);
    assert_eq!(negotiate(&mut client, &exports()).unwrap(), None);
    assert_eq!(answers(&client.hears), [1, 4, 1, 4, 1, 1, 1]);
}

#[test]
fn answers_in_one_piece_and_in_several() {
    let half = SIZE / 2;
    let file = file("disk.img", false);
    let read = |flags, offset, len| request(0, flags, offset, len, &[]);
    let expected = [simple(0), vec![7, 7, 0, 0]].concat();
    assert_eq!(heard(&file, false, &[read(0, half - 2, 4)]), expected);
    let data = [&(half - 2).to_be_bytes()[..], &[7, 7]].concat();
    let hole = [&half.to_be_bytes()[..], &2u32.to_be_bytes()].concat();
    let expected = [chunk(0, 1, &data), chunk(1, 2, &hole)].concat();
    assert_eq!(heard(&file, true, &[read(0, half - 2, 4)]), expected);
    // "Do not fragment".
    let data = [&(half - 2).to_be_bytes()[..], &[7, 7, 0, 0]].concat();
    assert_eq!(heard(&file, true, &[read(4, half - 2, 4)]), chunk(1, 1, &data));
    assert_eq!(heard(&file, true, &[read(0, 5, 0)]), chunk(1, 0, &[]));
    // Block status: two extents, or the first alone.
    let status = |flags| request(7, flags, half - 512, 1024, &[]);
    let words = |words: &[u32]| words.iter().flat_map(|it| it.to_be_bytes()).collect::<Vec<u8>>();
    let expected = chunk(1, 5, &words(&[1, 512, 0, 512, 3]));
    assert_eq!(heard(&file, true, &[status(0)]), expected);
    assert_eq!(heard(&file, true, &[status(8)]), chunk(1, 5, &words(&[1, 512, 0])));
}

#[test]
fn what_cannot_be_done_is_said_and_the_next_request_is_heard() {
    let (beyond, invalid) = (SIZE - 1, simple(22));
    let file = file("disk.img", false);
    let refused = heard(
        &file,
        false,
        &[
            request(0, 0, beyond, 2, &[]),
            request(0, 0, u64::MAX, 2, &[]),
            request(0, 0, 0, (32 << 20) + 1, &[]),
            request(1, 0, 0, 3, &[1, 2, 3]),
            request(4, 0, 0, 3, &[]),
            request(99, 0, 0, 3, &[]),
            request(7, 0, 0, 512, &[]),
        ],
    );
    let (perm, i) = (simple(1), || invalid.clone());
    let expected = [i(), i(), i(), perm.clone(), perm, i(), i()];
    assert_eq!(refused, expected.concat());
    let error = [&22u32.to_be_bytes()[..], &[0, 0]].concat();
    let expected = chunk(1, (1 << 15) + 1, &error);
    assert_eq!(heard(&file, true, &[request(0, 0, beyond, 2, &[])]), expected);
}

#[test]
fn what_is_written_is_read_by_the_next_and_beyond_the_end_is_no_room() {
    let file = file("1-a.img", true);
    let heard = heard(
        &file,
        false,
        &[
            request(1, 1, 5, 3, &[1, 2, 3]),
            request(6, 0, 6, 1, &[]),
            request(3, 0, 0, 0, &[]),
            request(0, 0, 4, 5, &[]),
            request(1, 0, SIZE - 1, 2, &[1, 2]),
            request(4, 0, SIZE - 1, 2, &[]),
        ],
    );
    let read = [simple(0), vec![7, 1, 0, 3, 7]].concat();
    let expected = [simple(0), simple(0), simple(0), read, simple(28), simple(28)];
    assert_eq!(heard, expected.concat());
}

proptest! {
    #[test]
    fn no_words_of_a_client_harm_the_server(
        flags in 0..4u32,
        words in prop::collection::vec((0..12u32, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let options: Vec<u8> = words.iter().flat_map(|(kind, data)| option(*kind, data)).collect();
        let mut client = Client::saying(&[&flags.to_be_bytes(), &options, &rest]);
        let exports = exports();
        if let Ok(Some(agreed)) = negotiate(&mut client, &exports) {
            let _ = answer_all(&mut client, exports.get(agreed.export).unwrap(), agreed);
        }
        prop_assert!(client.hears.len() < 1 << 20);
    }

    #[test]
    fn no_requests_of_a_client_harm_the_server(
        requests in prop::collection::vec(
            (0..9u16, any::<u16>(), 0..2 * SIZE, 0..200_000u32), 0..6),
        structured in any::<bool>(),
    ) {
        let requests: Vec<u8> = requests.iter()
            .flat_map(|(kind, flags, offset, len)| request(*kind, *flags, *offset, *len, &[]))
            .collect();
        let mut client = Client::saying(&[&requests]);
        let agreed = Agreed { export: 0, structured, allocation: structured };
        let _ = answer_all(&mut client, &file("1-a.img", true), agreed);
    }
}
