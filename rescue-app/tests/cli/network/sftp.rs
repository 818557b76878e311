//! OpenSSH's server for file transfer, spoken to without the network between.

use std::fs;

use common::succeeds;

use super::Far;
use crate::support::{Bench, MIB};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

fn far(command: &str) -> Far {
    let bench = Bench::empty();
    let address = format!("sftp:nowhere:{}", bench.arg("served/images"));
    let env = vec![("LIFEBOAT_SFTP_COMMAND", command.to_owned())];
    Far { bench, address, env }
}

/// restic is told of the other command by an option.
struct Local(Far);

impl Local {
    fn restic(&self, args: &[&str]) -> String {
        // What the server wrote is a folder of this machine.
        common::restic(&self.0.bench.path("served/images"), "lifeboat", args)
    }
}

#[test]
fn a_folder_on_another_machine_is_a_repository_and_restic_agrees() {
    let local = Local(far(SERVER));
    let far = &local.0;
    far.run(&["init", "--no-passphrase"]).ended(0);
    far.run(&["init", "--no-passphrase"]).ended(1);
    let (one, two) = (far.disk("one", 31, 24), far.disk("two", 32, 9));
    far.capture(&one);
    assert!(far.capture(&one)["added"].as_u64().unwrap() < MIB);
    far.capture(&two);
    far.restore("two");
    far.run(&["verify"]).ended(0);
    let checked = local.restic(&["check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    let served = far.bench.path("served/images");
    fs::write(served.join("data/00/x.lifeboat-unfinished-1"), "left").unwrap();
    assert!(succeeds(
        "touch",
        &["-d", "2020-01-01", served.join("data/00/x.lifeboat-unfinished-1").to_str().unwrap()]
    ));
    far.run(&["forget", "--keep-last", "1", "--prune"]).ended(0);
    assert!(!served.join("data/00/x.lifeboat-unfinished-1").exists());
    local.restic(&["check", "--read-data"]);
    assert!(served.join("README.txt").exists());
    local.restic(&["snapshots"]);
    far.run(&["unlock"]).ended(0);
    far.run(&["verify"]).ended(0);
}

#[test]
fn a_connection_that_breaks_is_made_anew() {
    // Each passes on so much: one pack, and a part of the next.
    let mut far = far("sh broken");
    let script = far.bench.path("broken");
    let text = format!("stdbuf -o0 head -c 20000000 | exec {SERVER}\n");
    fs::write(&script, text).unwrap();
    far.env = vec![("LIFEBOAT_SFTP_COMMAND", format!("sh {}", script.display()))];
    far.run(&["init", "--no-passphrase"]).ended(0);
    let disk = far.disk("disk", 33, 48);
    far.capture(&disk);
    far.restore("disk");
}

#[test]
fn what_ssh_complains_of_is_told() {
    let mut far = far("sh");
    let script = far.bench.path("refuses");
    fs::write(&script, "echo 'ann@host: Permission denied (publickey).' >&2; exit 255\n").unwrap();
    far.env = vec![("LIFEBOAT_SFTP_COMMAND", format!("sh {}", script.display()))];
    let refused = far.run(&["images"]).ended(1);
    assert!(refused.stderr.contains("Permission denied (publickey)"), "{}", refused.stderr);
    far.env = vec![("LIFEBOAT_SFTP_COMMAND", "/no/such/program".to_owned())];
    let none = far.run(&["images"]).ended(1);
    assert!(none.stderr.contains("install OpenSSH"), "{}", none.stderr);
}
