//! What people type every day: options where they expect them, the variables of restic, and exit
//! statuses that scripts can tell apart.

use std::fs;
use std::process::Command;

use common::noise;

use crate::support::{Bench, Run, make_gpt_disk, same};

/// The program without a repository in the environment.
fn bare(bench: &Bench, args: &[&str]) -> Command {
    let mut command = bench.command(args);
    command.env_remove("LIFEBOAT_REPO");
    command
}

fn run(command: &mut Command) -> Run {
    Run::from(command.output().unwrap())
}

#[test]
fn the_repository_may_be_named_anywhere() {
    let bench = Bench::empty();
    let (repo, other) = (bench.arg("repo"), bench.arg("other"));
    run(&mut bare(&bench, &["init", &repo, "--no-passphrase"])).ended(0);
    run(&mut bare(&bench, &["-r", &other, "init", "--no-passphrase"])).ended(0);
    fs::write(bench.path("disk"), noise(1, 1 << 20)).unwrap();
    run(&mut bare(&bench, &["capture", &bench.arg("disk"), "--repo", &repo])).ended(0);
    let listed = |args: &[&str]| run(&mut bare(&bench, args)).ended(0).stdout.contains("disk");
    for args in [
        &["images", "-r", &repo][..],
        &["-r", &repo, "images"],
        &["--repo", &repo, "images"],
        &["-r", &other, "images", "-r", &repo],
    ] {
        assert!(listed(args), "{args:?}");
    }
    assert!(!listed(&["images", "--repo", &other]));
    run(&mut bare(&bench, &["-r", &repo, "check"])).ended(0);
    run(&mut bare(&bench, &["-r", &repo, "repair", "index"])).ended(0);
    // What is named is meant, whatever the environment says.
    let mut others = bare(&bench, &["-r", &repo, "images"]);
    assert!(run(others.env("LIFEBOAT_REPO", &other)).ended(0).stdout.contains("disk"));
    let none = run(&mut bare(&bench, &["images"])).ended(2).stderr;
    assert!(none.contains("--repo <DIR>"), "{none}");
    run(&mut bare(&bench, &["init", &other, "--repo", &repo])).ended(2);
}

#[test]
fn what_restic_is_told_by_its_variables_is_known() {
    let bench = Bench::empty();
    let repo = bench.arg("repo");
    fs::write(bench.path("word"), "correct horse\n").unwrap();
    let with = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = bare(&bench, args);
        run(command.env("RESTIC_REPOSITORY", &repo).envs(variables.iter().copied()))
    };
    let word = bench.arg("word");
    with(&["init"], &[("RESTIC_PASSWORD_FILE", &word)]).ended(0);
    let restic = Command::new("restic")
        .args(["-r", &repo, "snapshots"])
        .env("RESTIC_PASSWORD_FILE", &word)
        .output();
    assert!(restic.unwrap().status.success());
    let command = format!("cat '{word}'");
    for variables in [
        [("RESTIC_PASSWORD", "correct horse")].as_slice(),
        &[("RESTIC_PASSWORD_COMMAND", &command)],
        &[("LIFEBOAT_PASSPHRASE_FILE", &word)],
        &[("LIFEBOAT_PASSPHRASE_COMMAND", &command)],
        &[("LIFEBOAT_PASSPHRASE", "correct horse"), ("RESTIC_PASSWORD", "wrong")],
    ] {
        with(&["images"], variables).ended(0);
    }
    let failed = with(&["images"], &[("RESTIC_PASSWORD_COMMAND", "exit 7")]).ended(1).stderr;
    assert!(failed.contains("RESTIC_PASSWORD_COMMAND failed"), "{failed}");
    for (name, value) in [("RESTIC_PASSWORD", "wrong"), ("LIFEBOAT_PASSPHRASE_COMMAND", "echo x")] {
        let said = with(&["images"], &[(name, value)]).ended(12).stderr;
        assert!(said.contains(name) && !said.contains("try again"), "{said}");
    }
    let public = Bench::new();
    let mut needless = public.command(&["images"]);
    let said = run(needless.env("LIFEBOAT_PASSPHRASE", "correct horse")).ended(12).stderr;
    assert!(said.contains("has none of its own: give none"), "{said}");
}

#[test]
fn partitions_are_named_as_people_do() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let disk = bench.arg("disk");
    let capture = |partitions: &str| bench.run(&["capture", &disk, "--partitions", partitions]);
    capture("3-4,7").ended(0);
    let listed = bench.run(&["images"]).ended(0).stdout;
    assert!(listed.contains("[partitions 3, 4, 7]"), "{listed}");
    let named = capture("sda1").ended(2).stderr;
    assert!(
        named.contains("'sda1' is not a partition number; give numbers such as 1,3"),
        "{named}"
    );
    let missing = capture("9").ended(4).stderr;
    assert!(missing.contains("has no partition 9; it has 1, 3, 4, 7"), "{missing}");
}

#[test]
fn failures_of_a_repository_have_statuses_of_their_own() {
    let bench = Bench::empty();
    let status = |args: &[&str], word: &str| {
        let mut command = bench.command(args);
        command.env("LIFEBOAT_PASSPHRASE", word).output().unwrap().status.code()
    };
    assert_eq!(status(&["images"], "right"), Some(10));
    assert_eq!(status(&["init"], "right"), Some(0));
    assert_eq!(status(&["images"], "wrong"), Some(12));
    assert_eq!(status(&["images"], ""), Some(12));
    assert_eq!(status(&["images"], "right"), Some(0));
}

#[test]
fn a_cause_is_told_once_and_without_its_number() {
    let bench = Bench::new();
    let file = bench.arg("no/such/file");
    let said = bench.run(&["images", "--passphrase-file", &file]).ended(1).stderr;
    assert!(said.ends_with(": No such file or directory\n"), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn a_run_tells_as_much_as_was_asked_for() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 3 << 20)).unwrap();
    let capture =
        |more: &[&str]| bench.run(&[&["capture", &bench.arg("disk")], more].concat()).ended(0);
    // Nobody looks at it: no line tells how far it is.
    let usual = capture(&[]);
    let has_progress = |told: &str| told.contains(" %  ");
    assert!(usual.stdout.contains("image ") && !has_progress(&usual.stderr), "{}", usual.stderr);
    let verbose = capture(&["-v"]).stderr;
    assert!(has_progress(&verbose) && verbose.contains("after the start"), "{verbose}");
    assert!(!has_progress(&capture(&["-v", "--no-progress"]).stderr));
    let quiet = capture(&["--quiet"]);
    assert!(quiet.stdout.is_empty(), "{}", quiet.stdout);
    assert!(quiet.stderr.lines().all(|line| line.starts_with("warning: ")), "{}", quiet.stderr);
    assert!(bench.run(&["-q", "images"]).ended(0).stdout.contains("disk"));
    let events = capture(&["--json"]).stdout;
    assert!(events.contains("\"progress\""), "{events}");
    assert!(!capture(&["--json", "--no-progress"]).stdout.contains("\"progress\""));
    let log = bench.arg("own.log");
    capture(&["-q", "--log", &log]);
    let noted = fs::read_to_string(&log).unwrap();
    assert!(noted.contains("capture") && noted.ends_with("done\n"), "{noted}");
    let refused = bench.run(&["images", "--log", &bench.arg("no/such/log")]).ended(1).stderr;
    assert!(refused.contains("opening the log"), "{refused}");
}

#[test]
fn one_disk_or_file_can_be_looked_at() {
    let bench = Bench::empty();
    make_gpt_disk(&bench, "disk");
    fs::write(bench.path("other"), noise(1, 1 << 20)).unwrap();
    let (disk, other) = (bench.arg("disk"), bench.arg("other"));
    let told = bench.run(&["disks", &disk, &other]).ended(0).stdout;
    assert!(told.contains("table: GPT") && told.contains("ext4 root"), "{told}");
    assert!(told.contains(&other) && told.contains("table: none"), "{told}");
    let json = bench.run(&["disks", &disk, "--json"]).ended(0).stdout;
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["volumes"].as_array().unwrap().len(), 4, "{found}");
    let none = bench.run(&["disks", &bench.arg("none")]).ended(1).stderr;
    assert!(none.contains("no such disk or image file"), "{none}");
}

#[test]
fn what_loses_nothing_needs_no_consent_and_what_loses_something_does() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 1 << 20)).unwrap();
    bench.capture("disk");
    let (disk, out) = (bench.arg("disk"), bench.arg("out"));
    bench.run(&["restore", "latest", &out]).ended(0);
    assert!(same(&bench.path("disk"), &bench.path("out")));
    bench.run(&["clone", &disk, &bench.arg("copy")]).ended(0);
    assert!(same(&bench.path("disk"), &bench.path("copy")));
    let precious = noise(2, 1 << 20);
    fs::write(bench.path("out"), &precious).unwrap();
    for work in [["restore", "latest", &out], ["clone", &disk, &out]] {
        let run = bench.run(&work).ended(4);
        assert!(
            run.stdout.contains("lost:") && run.stderr.contains("say --erase"),
            "{}",
            run.stderr
        );
    }
    assert!(fs::read(bench.path("out")).unwrap() == precious);
    let refused = bench.run(&["forget", "--all"]).ended(4).stderr;
    assert!(refused.contains("--yes") && refused.contains("--dry-run"), "{refused}");
    bench.run(&["forget", "--all", "--dry-run"]).ended(0);
    assert!(bench.run(&["images"]).ended(0).stdout.contains("disk"));
    bench.run(&["forget", "--all", "--yes"]).ended(0);
    assert!(!bench.run(&["images"]).ended(0).stdout.contains("disk  "));
}

#[test]
fn places_have_names_where_they_are_configured() {
    let bench = Bench::empty();
    let (repo, word) = (bench.arg("repo"), bench.arg("word"));
    fs::write(&word, "correct horse\n").unwrap();
    fs::create_dir_all(bench.path("config/lifeboat")).unwrap();
    let configure = |text: &str| {
        fs::write(bench.path("config/lifeboat/config.toml"), text).unwrap();
    };
    configure(&format!(
        "repo = \"@office\"\n[capture]\nchunk-size = \"1M\"\n\
         [places.office]\nrepo = \"{repo}\"\npassphrase-file = \"{word}\"\n"
    ));
    let lifeboat =
        |args: &[&str]| run(bare(&bench, args).env("XDG_CONFIG_HOME", bench.path("config")));
    lifeboat(&["init", "@office"]).ended(0);
    fs::write(bench.path("disk"), noise(1, 3 << 20)).unwrap();
    let disk = bench.arg("disk");
    lifeboat(&["capture", &disk]).ended(0);
    for args in [&["images"][..], &["images", "-r", "@office"], &["-r", "@office", "images"]] {
        assert!(lifeboat(args).ended(0).stdout.contains("disk"), "{args:?}");
    }
    // What was configured for captures was done: all is there already in chunks of that size.
    let again = lifeboat(&["capture", &disk, "--chunk-size", "1M", "--json"]).ended(0).stdout;
    assert!(again.contains("\"added\":0") || again.contains("\"reused\":3145728"), "{again}");
    let unknown = lifeboat(&["images", "-r", "@home"]).ended(2).stderr;
    assert!(unknown.contains("configured are @office"), "{unknown}");
    configure("repo = \"@office\"\nplaces = 3\n");
    let wrong = lifeboat(&["images"]).ended(2).stderr;
    assert!(wrong.contains("config.toml: line 2: places is not known"), "{wrong}");
    lifeboat(&["--version"]).ended(0);
}

#[test]
fn images_are_told_apart_by_what_people_say_of_them() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 1 << 20)).unwrap();
    let disk = bench.arg("disk");
    let capture = |more: &[&str]| {
        bench.run(&[&["capture", &disk, "--json"], more].concat()).ended(0).result()
    };
    let first = capture(&["--tag", "monthly", "--note", "before, and after"]);
    assert_eq!(first["image"]["note"], "before, and after", "{first}");
    capture(&[]);
    capture(&["--tag", "weekly"]);
    bench.run(&["capture", &disk, "--tag", "a,b"]).ended(2);
    let listed = bench.run(&["images"]).ended(0).stdout;
    assert!(listed.contains("#monthly  before, and after"), "{listed}");
    let shown = bench.run(&["show", first["image"]["id"].as_str().unwrap()]).ended(0).stdout;
    assert!(shown.contains("note    before") && shown.contains("tags    monthly"), "{shown}");
    let theirs = bench.restic(&["snapshots", "--tag", "monthly", "--json"]);
    let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
    assert_eq!(theirs.as_array().unwrap().len(), 1, "{theirs}");
    assert_eq!(theirs[0]["id"], first["image"]["id"]);

    let all = bench.run(&["forget", "--keep-within", "1d", "--dry-run"]).ended(0).stdout;
    assert!(all.contains("would forget 0 image(s) and keep 3"), "{all}");
    bench.run(&["forget", "--keep-within", "soon", "--dry-run"]).ended(2);
    bench.run(&["forget", "--keep-last", "1", "--keep-tag", "monthly"]).ended(0);
    let left = bench.run(&["images"]).ended(0).stdout;
    assert!(left.lines().count() == 2 && left.contains("#monthly") && left.contains("#weekly"));
}

#[test]
fn programs_are_told_of_every_failure() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 1 << 20)).unwrap();
    bench.capture("disk");
    let (disk, none) = (bench.arg("disk"), bench.arg("none"));
    for (args, status) in [
        (&["show", "abcdef", "--json"][..], 1),
        (&["images", "--json", "-r", &none], 10),
        (&["restore", "latest", &disk, "--json"], 4),
        (&["capture", &none, "--json"], 1),
        (&["key", "remove", "x", "--json"], 1),
    ] {
        let run = bench.run(args).ended(status);
        let last = run.stdout.lines().last().unwrap_or_default();
        let event: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(
            (&event["event"], &event["status"]),
            (&"error".into(), &status.into()),
            "{args:?}"
        );
        assert!(run.stderr.contains(event["message"].as_str().unwrap()), "{event}");
    }
}
