//! moto, which speaks S3.

use std::process::Command;

use super::Far;
use super::proxy::{Fault, Proxy};
use super::server::{Server, free_port, server_path};
use crate::support::Bench;

fn far() -> (Far, Server) {
    let port = free_port();
    let mut command = Command::new(server_path("moto/bin/python"));
    command.arg(server_path("moto/bin/moto_server")).args(["-p", &port.to_string()]);
    let server = Server::start(command, port);
    let env = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let env = env.map(|(name, value)| (name, value.to_owned())).to_vec();
    let address = format!("s3:http://127.0.0.1:{port}/bucket/some/images");
    (Far { bench: Bench::empty(), address, env }, server)
}

#[test]
fn every_verb_works_in_a_bucket_and_restic_agrees() {
    let (far, _server) = far();
    far.assert_every_verb_works();
}

#[test]
fn a_bucket_over_a_network_that_fails_and_a_repository_of_restic() {
    let (mut far, server) = far();
    far.restic(&["init", "--repository-version", "2"]);
    far.env.push(("LIFEBOAT_PASSPHRASE", "lifeboat".to_owned()));
    let proxy = Proxy::to(server.port);
    let straight = far.address.clone();
    far.address = format!("s3:http://127.0.0.1:{}/bucket/some/images", proxy.port);
    let disk = far.disk("disk", 21, 24);
    let cut = [Fault::CutUp(300), Fault::CutUp(9 << 20), Fault::Status(503), Fault::CutUp(70_000)];
    proxy.strike(cut);
    far.capture(&disk);
    proxy.strike([Fault::CutDown(1 << 20), Fault::Status(500), Fault::CutDown(5 << 20)]);
    far.restore("disk");
    assert!(proxy.struck() >= 2, "{}", proxy.struck());
    far.address = straight;
    far.assert_whole();
}

#[test]
fn a_bucket_needs_a_key() {
    let (mut far, _server) = far();
    far.env.clear();
    let without = far.run(&["images"]).ended(1);
    assert!(without.stderr.contains("AWS_SECRET_ACCESS_KEY"), "{}", without.stderr);
}
