//! Jobs without a person.

use std::fs;

use serde_json::Value;

use crate::support::{Bench, judge_gpt_disk, make_gpt_disk};

/// A job in a file, with `@` for the folder of the test.
fn job(bench: &Bench, text: &str) -> String {
    let path = bench.path("job.toml");
    fs::write(&path, text.replace('@', bench.path("").to_str().unwrap())).unwrap();
    bench.arg("job.toml")
}

fn images(bench: &Bench) -> usize {
    fs::read_dir(bench.path("repo/snapshots")).unwrap().count()
}

#[test]
fn a_job_captures_restores_and_verifies_and_reports() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let job = job(
        &bench,
        "repo = \"@/repo\"\nreport = [\"@/report\"]\n\
         [[step]]\nrun = [\"capture\", \"--tag\", \"nightly\"]\nsource = \"@/disk\"\n\
         [[step]]\nrun = [\"restore\", \"latest\"]\ntarget = \"@/out\"\n\
         [[step]]\nrun = [\"verify\", \"latest\"]\n",
    );
    let plan = bench.run(&["run", &job, "--plan"]).ended(0);
    assert!(plan.stderr.contains("step 2: lifeboat restore latest"), "{}", plan.stderr);
    assert!(!bench.path("out").exists() && !bench.path("report").exists());

    let run = bench.run(&["run", &job]).ended(0);
    let report = fs::read_to_string(bench.path("report")).unwrap();
    assert_eq!(run.stdout, report);
    let lines: Vec<Value> =
        report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<_> = lines.iter().filter(|line| line["event"] == "step").collect();
    let told: Vec<_> =
        steps.iter().map(|it| (it["verb"].as_str(), it["status"].as_u64())).collect();
    assert_eq!(
        told,
        [(Some("capture"), Some(0)), (Some("restore"), Some(0)), (Some("verify"), Some(0))]
    );
    assert_eq!(lines.iter().filter(|line| line["event"] == "result").count(), 3);
    assert!(lines.iter().all(|line| line["event"] != "progress"));
    judge_gpt_disk(&bench, &bench.path("out"));
}

#[test]
fn a_job_that_cannot_be_done_whole_does_nothing() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let first = "repo = \"@/repo\"\n[[step]]\nrun = [\"capture\"]\nsource = \"@/disk\"\n";
    for (second, why) in [
        (
            "[[step]]\nrun = [\"restore\", \"latest\"]\ntarget = \"serial=NONE-7\"\n",
            "no disk of this machine",
        ),
        ("[[step]]\nrun = [\"restroe\", \"latest\"]\n", "has to begin with capture"),
        ("[[step]]\nrun = [\"verify\"]\n[[setp]]\n", "line 7: setp is not known"),
    ] {
        let job = job(&bench, &format!("{first}{second}"));
        let refused = bench.run(&["run", &job]).ended(1);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert_eq!(images(&bench), 0);
    }
}

#[test]
fn a_step_that_fails_ends_the_job() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let job = job(
        &bench,
        "report = \"@/report\"\n\
         [[step]]\nrun = [\"verify\", \"latest\"]\n\
         [[step]]\nrun = [\"capture\"]\nsource = \"@/disk\"\n",
    );
    let failed = bench.run(&["run", &job]).ended(1);
    assert!(failed.stderr.contains("step 1 (verify) ended with status"), "{}", failed.stderr);
    assert!(failed.stderr.contains("1 of 2 were not begun"), "{}", failed.stderr);
    assert!(fs::read_to_string(bench.path("report")).unwrap().contains("\"verb\":\"verify\""));
    assert_eq!(images(&bench), 0);
}
