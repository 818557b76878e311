//! Images as network block devices, judged by the tools of QEMU and libnbd.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};

use common::{noise, succeeds, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Bench, DISK_SIZE, EXT4, MIB, cut, make_gpt_disk, same};

/// A server; it is ended when this is dropped.
struct Served {
    program: Child,
    said: BufReader<ChildStderr>,
    /// How clients reach it, but for the name of an export.
    uri: String,
}

impl Served {
    /// Serves `images` at a socket in the scratch folder.
    fn new(bench: &Bench, images: &[&str], more: &[&str]) -> Self {
        let socket = bench.arg("socket");
        Self::with(bench, &[images, &["--socket", &socket], more].concat())
    }

    fn with(bench: &Bench, args: &[&str]) -> Self {
        let mut command = bench.command(&[&["serve"], args].concat());
        let mut program = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(program.stderr.take().unwrap());
        // It says so once clients may come.
        let mut line = String::new();
        while !line.contains("served at ") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{:?}", program.wait());
        }
        let uri = line.split("served at ").nth(1).unwrap();
        let uri = uri.split(": ").next().unwrap().to_owned();
        Self { program, said, uri }
    }

    /// How clients reach an export.
    fn export(&self, name: &str) -> String {
        match self.uri.split_once('?') {
            Some((place, socket)) => format!("{place}{name}?{socket}"),
            None => format!("{}/{name}", self.uri),
        }
    }

    /// The names that clients are told, by `nbdinfo`.
    fn names(&self) -> Vec<String> {
        let listed: Value =
            serde_json::from_str(&tool("nbdinfo", &["--json", "--list", &self.uri])).unwrap();
        let exports = listed["exports"].as_array().unwrap();
        exports.iter().map(|it| it["export-name"].as_str().unwrap().to_owned()).collect()
    }

    /// The export whose name starts so.
    fn starting(&self, start: &str) -> String {
        let names = self.names();
        self.export(names.iter().find(|name| name.starts_with(start)).unwrap())
    }

    /// Asks it to end, as Ctrl-C does; what it said since it began to serve.
    fn stop(&mut self) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let code = self.program.wait().unwrap().code();
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        (code, said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn nbdinfo(uri: &str) -> Value {
    let info: Value = serde_json::from_str(&tool("nbdinfo", &["--json", uri])).unwrap();
    info["exports"][0].clone()
}

/// A mebibyte of noise, captured.
fn small(bench: &Bench, name: &str, seed: u64) {
    fs::write(bench.path(name), noise(seed, 1 << 20)).unwrap();
    bench.capture(name);
}

/// Offset, length and type of the extents of an export, by `nbdinfo`.
fn map(uri: &str) -> Vec<(u64, u64, u64)> {
    let extents: Value = serde_json::from_str(&tool("nbdinfo", &["--map", "--json", uri])).unwrap();
    let number = |extent: &Value, name: &str| extent[name].as_u64().unwrap();
    let extents = extents.as_array().unwrap().iter();
    extents.map(|it| (number(it, "offset"), number(it, "length"), number(it, "type"))).collect()
}

#[test]
fn disk_and_partitions_are_those_of_a_restore() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.restore("out", &[]);
    let (out, copy) = (bench.path("out"), bench.path("copy"));
    let served = Served::new(&bench, &["latest"], &[]);
    let (disk, default) = (served.export("disk"), served.export(""));
    let info: Value =
        serde_json::from_str(&tool("qemu-img", &["info", "--output=json", &default])).unwrap();
    assert_eq!(info["virtual-size"].as_u64(), Some(DISK_SIZE));
    tool("qemu-img", &["compare", "-f", "raw", "-F", "raw", out.to_str().unwrap(), &disk]);
    for uri in [&disk, &default] {
        tool("nbdcopy", &[uri, copy.to_str().unwrap()]);
        assert!(same(&copy, &out));
        fs::remove_file(&copy).unwrap();
    }
    tool("qemu-img", &["convert", "-f", "raw", "-O", "raw", &disk, copy.to_str().unwrap()]);
    assert!(same(&copy, &out));
    let part = bench.path("part");
    cut(&out, EXT4.start, EXT4.size, &part);
    tool("nbdcopy", &[&served.starting("3-"), copy.to_str().unwrap()]);
    fs::remove_file(&copy).unwrap();
    tool("nbdcopy", &["--connections=1", &served.starting("3-"), copy.to_str().unwrap()]);
    assert!(same(&copy, &part));
    assert_eq!(served.names().len(), 5, "{:?}", served.names());
    assert!(!succeeds("nbdinfo", &[&served.export("nothing")]));
    let info = nbdinfo(&disk);
    assert_eq!(info["is_read_only"], true, "{info}");
    assert_eq!(info["can_multi_conn"], true, "{info}");
    assert_eq!(info["block_size_maximum"], 32 * MIB, "{info}");
}

#[test]
fn what_nothing_uses_is_a_hole() {
    let bench = Bench::new();
    File::create(bench.path("disk")).unwrap().set_len(64 * MIB).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", bench.path("disk").to_str().unwrap()]);
    bench.capture("disk");
    bench.restore("out", &[]);
    let out = File::open(bench.path("out")).unwrap();
    let served = Served::new(&bench, &["latest"], &[]);
    let extents = map(&served.export("disk"));
    let total = |wanted| extents.iter().filter(|it| it.2 == wanted).map(|it| it.1).sum::<u64>();
    assert_eq!(total(0) + total(3), 64 * MIB, "{extents:?}");
    assert!(total(3) > 48 * MIB && total(0) > 0, "{extents:?}");
    for (offset, len, _) in extents.iter().filter(|it| it.2 == 3) {
        let mut bytes = vec![1; usize::try_from(*len).unwrap()];
        out.read_exact_at(&mut bytes, *offset).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "{offset} {len}");
    }
}

#[test]
fn several_images_have_names_of_their_own_and_the_first_is_usual() {
    let bench = Bench::new();
    for (name, seed) in [("one", 1), ("two", 2)] {
        small(&bench, name, seed);
    }
    let listed = bench.run(&["images", "--json"]).ended(0).stdout;
    let images: Value = serde_json::from_str(&listed).unwrap();
    let images = images.as_array().or(images["images"].as_array()).unwrap();
    let ids: Vec<&str> = images.iter().map(|it| &it["id"].as_str().unwrap()[..8]).collect();
    let served = Served::new(&bench, &ids, &[]);
    let names = served.names();
    assert_eq!(names, ["disk".to_owned(), format!("{}/disk", ids[1])]);
    // The newest comes first.
    for (name, source) in [("", "two"), ("disk", "two"), (&names[1], "one")] {
        let copy = bench.path(&format!("copy-of-{source}-{}", name.len()));
        tool("nbdcopy", &[&served.export(name), copy.to_str().unwrap()]);
        assert!(same(&copy, &bench.path(source)), "{name}");
    }
}

/// Whether `qemu-io` carries out commands on an export, and finds what they expect.
fn qemu_io(uri: &str, mode: &[&str], commands: &[&str]) -> bool {
    let commands = commands.iter().flat_map(|command| ["-c", command]);
    let args: Vec<&str> =
        mode.iter().copied().chain(["-f", "raw"]).chain(commands).chain([uri]).collect();
    succeeds("qemu-io", &args)
}

#[test]
fn what_is_written_is_there_until_the_end_and_the_image_stays() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.restore("out", &[]);
    let mut served = Served::new(&bench, &["latest"], &["--writable"]);
    let disk = served.export("disk");
    let info = nbdinfo(&disk);
    let can = ["can_flush", "can_fua", "can_trim", "can_zero", "can_fast_zero"];
    assert!(can.iter().all(|it| info[it] == true) && info["is_read_only"] == false, "{info}");
    let steps = [
        "write -P 0x5a 1000448 1M",
        "write -f -P 0x5b 70M 3000",
        "flush",
        "write -z 1048576 512k",
        "discard 72M 5M",
        "write -z -u 90M 1M",
    ];
    assert!(qemu_io(&disk, &[], &steps));
    let checks = [
        "read -P 0x5a 1000448 48128",
        "read -P 0 1048576 512k",
        "read -P 0x5a 1572864 476160",
        "read -P 0x5b 70M 3000",
        "read -P 0 72M 5M",
    ];
    assert!(qemu_io(&disk, &["-r"], &checks));
    assert!(!qemu_io(&disk, &["-r"], &["read -P 0x5a 70M 3000"]), "the judge can say no");
    let discarded = map(&disk)
        .into_iter()
        .any(|(at, len, kind)| kind == 3 && at <= 72 * MIB && at + len >= 77 * MIB);
    assert!(discarded, "{:?}", map(&disk));
    // A whole filesystem, by way of a partition; the disk shows it in its place.
    let (new, back) = (bench.path("new"), bench.path("back"));
    File::create(&new).unwrap().set_len(EXT4.size).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "fresh", new.to_str().unwrap()]);
    tool("nbdcopy", &[new.to_str().unwrap(), &served.starting("3-")]);
    tool("nbdcopy", &[&disk, back.to_str().unwrap()]);
    let part = bench.path("part");
    cut(&back, EXT4.start, EXT4.size, &part);
    assert!(same(&part, &new));
    tool("e2fsck", &["-fn", part.to_str().unwrap()]);
    let (code, said) = served.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("are gone"), "{said}");
    let served = Served::new(&bench, &["latest"], &[]);
    let copy = bench.path("copy");
    tool("nbdcopy", &[&served.export("disk"), copy.to_str().unwrap()]);
    assert!(same(&copy, &bench.path("out")));
    assert!(!qemu_io(&served.export("disk"), &[], &["write 0 4k"]));
}

#[test]
fn the_socket_is_private_and_never_anothers() {
    let bench = Bench::new();
    small(&bench, "disk", 1);
    let socket = bench.path("socket");
    let mut served = Served::new(&bench, &["latest"], &[]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let second = bench.run(&["serve", "latest", "--socket", &bench.arg("socket")]).ended(4);
    assert!(second.stderr.contains("socket is there already"), "{}", second.stderr);
    // A client that stays does not keep it.
    let mut client = UnixStream::connect(&socket).unwrap();
    let mut greeting = [0; 18];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
    assert_eq!(served.stop().0, Some(0));
    assert!(!socket.exists());
    fs::write(&socket, "mine").unwrap();
    bench.run(&["serve", "latest", "--socket", &bench.arg("socket")]).ended(4);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
}

#[test]
fn a_port_is_served_and_one_that_others_reach_is_warned_of() {
    let bench = Bench::new();
    small(&bench, "disk", 1);
    let local = Served::with(&bench, &["latest", "--listen", "127.0.0.1:0"]);
    assert_eq!(tool("nbdinfo", &["--size", &local.uri]).trim(), "1048576");
    let copy = bench.path("copy");
    tool("nbdcopy", &[&local.export("disk"), copy.to_str().unwrap()]);
    assert!(same(&copy, &bench.path("disk")));
    let taken = local.uri.strip_prefix("nbd://").unwrap();
    let refused = bench.run(&["serve", "latest", "--listen", taken]).ended(4);
    assert!(refused.stderr.contains("another server listens"), "{}", refused.stderr);
    let mut open = Served::with(&bench, &["latest", "--listen", "0.0.0.0:0"]);
    assert_eq!(open.stop().0, Some(0));
    let log = fs::read_to_string(bench.path("log")).unwrap();
    assert!(log.contains("no password and no encryption"), "{log}");
}

/// Sends bytes to the server, and goes once it has nothing more to say.
fn send(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut client = UnixStream::connect(socket).unwrap();
    let _ = client.write_all(bytes);
    let _ = client.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    answer
}

#[test]
fn clients_that_keep_to_no_protocol_do_no_harm() {
    let bench = Bench::new();
    small(&bench, "disk", 1);
    let served = Served::new(&bench, &["latest"], &[]);
    let socket: PathBuf = bench.path("socket");
    let option = |kind: u32, len: u32| {
        [b"IHAVEOPT".as_slice(), &kind.to_be_bytes(), &len.to_be_bytes()].concat()
    };
    let greeting = 3u32.to_be_bytes();
    // A request that reads 4 GiB less one byte, after the oldest way to choose an export.
    let mut huge = [greeting.as_slice(), &option(1, 0), &0x2560_9513u32.to_be_bytes()].concat();
    huge.extend([0; 20]);
    huge.extend(u32::MAX.to_be_bytes());
    let answer = send(&socket, &huge);
    let refusal = [&0x6744_6698u32.to_be_bytes()[..], &22u32.to_be_bytes(), &[0; 8]].concat();
    assert!(answer.ends_with(&refusal), "{answer:?}");
    for bytes in [
        noise(5, 100_000),
        Vec::new(),
        vec![0xff; 4],
        [greeting.as_slice(), &option(7, u32::MAX)].concat(),
        [greeting.as_slice(), &option(6, 60_000), &noise(6, 60_000)].concat(),
        [greeting.as_slice(), &option(10, 8), &[0xff; 8]].concat(),
        [greeting.as_slice(), &option(1, 7), b"nothing"].concat(),
        [greeting.as_slice(), &option(1, 0), &noise(7, 5000)].concat(),
    ] {
        send(&socket, &bytes);
    }
    // More than are let in at once; once they are gone, others are.
    let crowd: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    drop(crowd);
    let copy = bench.path("copy");
    let copied = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        succeeds("nbdcopy", &[&served.export(""), copy.to_str().unwrap()])
    });
    assert!(copied && same(&copy, &bench.path("disk")));
}
