//! restic's rest-server.

use std::fs;
use std::thread;
use std::time::Duration;

use base64::Engine;
use common::{Random, tool};
use sha1::{Digest, Sha1};

use super::proxy::{Fault, Proxy};
use super::server::Server;
use super::{Far, Running};
use crate::support::{Bench, Run};

/// A repository on a server without users.
fn far(options: &[&str]) -> (Far, Server) {
    let bench = Bench::empty();
    let server = Server::rest(&bench.path("served"), &[&["--no-auth"], options].concat());
    let address = format!("rest:http://127.0.0.1:{}/images/", server.port);
    (Far { bench, address, env: Vec::new() }, server)
}

/// The same, reached through a relay.
fn far_behind_a_proxy(options: &[&str]) -> (Far, Server, Proxy) {
    let (mut far, server) = far(options);
    let proxy = Proxy::to(server.port);
    far.address = format!("rest:http://127.0.0.1:{}/images/", proxy.port);
    (far, server, proxy)
}

#[test]
fn every_verb_works_on_a_rest_server_and_restic_agrees() {
    let (far, _server) = far(&[]);
    far.assert_every_verb_works();
}

#[test]
fn what_restic_made_on_a_rest_server_is_used() {
    let (far, _server) = far(&[]);
    far.restic(&["init", "--repository-version", "2"]);
    let disk = far.disk("disk", 3, 5);
    let word = far.bench.arg("word");
    fs::write(&word, "lifeboat").unwrap();
    far.run(&["capture", &disk, "--passphrase-file", &word]).ended(0);
    far.assert_whole();
}

#[test]
fn a_server_that_only_takes_what_is_new_keeps_all() {
    let (far, _server) = far(&["--append-only"]);
    far.run(&["init", "--no-passphrase"]).ended(0);
    let disk = far.disk("disk", 4, 9);
    far.capture(&disk);
    far.capture(&disk);
    let refused = far.run(&["forget", "--keep-last", "1"]).ended(1);
    assert!(refused.stderr.contains("append-only"), "{}", refused.stderr);
    assert_eq!(far.run(&["images"]).ended(0).stdout.lines().count(), 2);
    assert!(far.restic(&["list", "locks"]).trim().is_empty());
    far.restore("disk");
    far.assert_whole();
}

#[test]
fn a_password_opens_the_server_and_is_shown_nowhere() {
    let bench = Bench::empty();
    let served = bench.path("served");
    fs::create_dir(&served).unwrap();
    let sum = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(b"p@ss/word"));
    fs::write(served.join(".htpasswd"), format!("ann:{{SHA}}{sum}\n")).unwrap();
    let server = Server::rest(&served, &["--private-repos"]);
    let with = |login: &str| format!("rest:http://{login}127.0.0.1:{}/ann/images", server.port);
    let mut far = Far { bench, address: with("ann:p%40ss%2Fword@"), env: Vec::new() };
    let disk = far.disk("disk", 5, 5);
    let mut said = String::new();
    let mut say = |run: Run| said.push_str(&format!("{}{}", run.stdout, run.stderr));
    say(far.run(&["init", "--no-passphrase"]).ended(0));
    say(far.run(&["capture", &disk, "--repo", &far.address, "--json"]).ended(0));
    say(far.run(&["images"]).ended(0));
    say(far.run(&["capture", &far.bench.arg("nothing")]).ended(1));
    said.push_str(&fs::read_to_string(far.bench.path("log")).unwrap());
    assert!(
        said.contains("127.0.0.1") && !said.contains("ss%2F") && !said.contains("ss/w"),
        "{said}"
    );

    far.address = with("ann:wrong@");
    let refused = far.run(&["images"]).ended(1);
    assert!(refused.stderr.contains("user and password"), "{}", refused.stderr);
    far.address = with("");
    for [user, password] in [
        ["LIFEBOAT_REST_USERNAME", "LIFEBOAT_REST_PASSWORD"],
        ["RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"],
    ] {
        far.env = vec![(user, "ann".to_owned()), (password, "p@ss/word".to_owned())];
        far.run(&["images"]).ended(0);
    }
}

#[test]
fn a_server_proves_who_it_is() {
    let bench = Bench::empty();
    let [key, cert] = ["key.pem", "cert.pem"].map(|name| bench.arg(name));
    tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &cert,
        ],
    );
    let tls = ["--no-auth", "--tls", "--tls-cert", &cert, "--tls-key", &key];
    let server = Server::rest(&bench.path("served"), &tls);
    let address = |host: &str| format!("rest:https://{host}:{}/images/", server.port);
    let mut far = Far { bench, address: address("127.0.0.1"), env: Vec::new() };
    let unknown = far.run(&["init", "--no-passphrase"]).ended(1);
    assert!(unknown.stderr.contains("--cacert FILE"), "{}", unknown.stderr);
    far.run(&["init", "--no-passphrase", "--cacert", &cert]).ended(0);
    far.env = vec![("LIFEBOAT_CACERT", cert.clone()), ("SSL_CERT_FILE", cert.clone())];
    let disk = far.disk("disk", 6, 9);
    far.capture(&disk);
    far.restore("disk");
    far.assert_whole();
    far.address = address("localhost");
    let other = far.run(&["images"]).ended(1);
    assert!(other.stderr.contains("as its certificate does"), "{}", other.stderr);
    far.address = far.address.replace("https", "http");
    let plain = far.run(&["images"]).ended(1);
    assert!(plain.stderr.contains("lifeboat:"), "{}", plain.stderr);
    let none = far.run(&["images", "--cacert", &key]).ended(1);
    assert!(none.stderr.contains("there is none in it"), "{}", none.stderr);
}

#[test]
fn a_network_that_fails_costs_time_and_no_data() {
    let mut random = Random::from_environment();
    let (far, mut server, proxy) = far_behind_a_proxy(&[]);
    far.run(&["init", "--no-passphrase"]).ended(0);
    let disk = far.disk("disk", 7, 48);
    let mut faults = |count: u64| -> Vec<Fault> {
        let mut fault = || match random.below(4) {
            0 => Fault::CutUp(random.below(20 << 20)),
            1 => Fault::CutUp(random.below(2 << 10)),
            2 => Fault::CutDown(random.below(9 << 20)),
            _ => Fault::Status([500, 502, 503, 429][usize::try_from(random.below(4)).unwrap()]),
        };
        (0..count).map(|_| fault()).collect()
    };
    let (first, second) = (faults(12), faults(6));
    println!("{first:?} {second:?}");
    proxy.strike(first);
    let mut capture = Running::start(far.command(&["capture", &disk]));
    let before = proxy.up();
    while proxy.up() < before + (20 << 20) && !capture.is_over() {
        thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    proxy.set_dark(true);
    thread::sleep(Duration::from_millis(700));
    server.resume();
    proxy.set_dark(false);
    capture.end().ended(0);
    assert!(proxy.struck() > 0);
    far.assert_whole();
    proxy.strike(second);
    far.restore("disk");
    far.run(&["verify"]).ended(0);
}

#[test]
fn a_server_that_stays_away_ends_the_work_and_the_same_command_goes_on() {
    let (mut far, _server, proxy) = far_behind_a_proxy(&[]);
    far.run(&["init", "--no-passphrase"]).ended(0);
    far.env = vec![("LIFEBOAT_NETWORK_PATIENCE", "1".to_owned())];
    let disk = far.disk("disk", 8, 96);
    let capture = Running::start(far.command(&["capture", &disk]));
    while proxy.up() < 40 << 20 {
        thread::sleep(Duration::from_millis(1));
    }
    proxy.set_dark(true);
    let given_up = capture.end().ended(1);
    assert!(given_up.stderr.contains("cannot be reached"), "{}", given_up.stderr);
    assert!(given_up.stderr.contains("run the same command again"), "{}", given_up.stderr);
    proxy.set_dark(false);
    let report = far.capture(&disk);
    assert!(report["resumed"].as_u64().unwrap() > 0, "{report}");
    far.assert_whole();
}

#[test]
fn whoever_waits_for_the_network_can_be_stopped() {
    let (far, _server, proxy) = far_behind_a_proxy(&[]);
    far.run(&["init", "--no-passphrase"]).ended(0);
    let disk = far.disk("disk", 9, 96);
    let capture = Running::start(far.command(&["capture", &disk]));
    while proxy.up() < 20 << 20 {
        thread::sleep(Duration::from_millis(1));
    }
    proxy.set_dark(true);
    thread::sleep(Duration::from_millis(300));
    capture.interrupt();
    // It would wait for a quarter of an hour.
    let stopped = capture.end().ended(130);
    assert!(stopped.stderr.contains("stopped on request"), "{}", stopped.stderr);
}

#[test]
fn a_full_server_says_so_and_keeps_what_it_has() {
    let (far, _server) = far(&["--max-size", "30000000"]);
    far.run(&["init", "--no-passphrase"]).ended(0);
    let disk = far.disk("disk", 10, 48);
    let full = far.run(&["capture", &disk]).ended(5);
    assert!(full.stderr.contains("is full"), "{}", full.stderr);
    // A disk of next to nothing: how much of the large one fitted is a matter of chance.
    let small = far.disk("small", 11, 1);
    fs::File::options().write(true).open(&small).unwrap().set_len(64 << 10).unwrap();
    far.capture(&small);
    far.restore("small");
}

#[test]
fn a_server_that_is_not_there_is_told_soon() {
    let (mut far, mut server) = far(&[]);
    server.kill();
    far.env = vec![("LIFEBOAT_NETWORK_PATIENCE", "1".to_owned())];
    let none = far.run(&["images"]).ended(1);
    assert!(none.stderr.contains("cannot be reached"), "{}", none.stderr);
    server.resume();
    let none = far.run(&["images"]).ended(10);
    assert!(none.stderr.contains("no image repository"), "{}", none.stderr);
    far.address = "rest:http://127.0.0.1:1/x?y".to_owned();
    far.run(&["images"]).ended(2);
}
