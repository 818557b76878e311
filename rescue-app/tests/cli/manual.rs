//! Completions and manual pages.

use std::collections::BTreeSet;
use std::fs;

use common::tool;

use crate::support::Bench;

/// What bash offers for the words of a command line, the last of which is being typed.
fn offered(bench: &Bench, words: &[&str]) -> BTreeSet<String> {
    let script = bench.run(&["completions", "bash"]).ended(0).stdout;
    fs::write(bench.path("completions"), script).unwrap();
    let ask = r#". "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _lifeboat "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let file = bench.arg("completions");
    let said = tool("bash", &[&["-c", ask, "bash", &file], words].concat());
    said.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let bench = Bench::empty();
    let commands = offered(&bench, &["lifeboat", ""]);
    assert!(commands.contains("capture") && commands.contains("restore"), "{commands:?}");
    assert!(!commands.contains("start-medium"), "{commands:?}");
    let options = offered(&bench, &["lifeboat", "restore", "--only"]);
    assert_eq!(options, BTreeSet::from(["--only-changed".to_owned()]));
    let levels = offered(&bench, &["lifeboat", "capture", "--level", ""]);
    assert_eq!(levels, ["balanced", "fast", "small"].map(str::to_owned).into());
}

#[test]
fn every_command_has_a_manual_page() {
    let bench = Bench::empty();
    let folder = bench.arg("man");
    let refused = bench.run(&["man", &folder]).ended(1);
    assert!(refused.stderr.contains("name a folder that is there"), "{}", refused.stderr);
    fs::create_dir(&folder).unwrap();
    bench.run(&["man", &folder]).ended(0);
    let commands = offered(&bench, &["lifeboat", ""]);
    let others = ["help", "backup", "list", "snapshots"];
    let is_command = |word: &&String| !word.starts_with('-') && !others.contains(&word.as_str());
    let commands = commands.iter().filter(is_command);
    for command in commands {
        let page = fs::read_to_string(bench.path(&format!("man/lifeboat-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{page}");
    }
    let page = fs::read_to_string(bench.path("man/lifeboat.1")).unwrap();
    assert!(page.contains("Exit status"), "{page}");
    assert!(!bench.path("man/lifeboat-start-medium.1").exists());
}
