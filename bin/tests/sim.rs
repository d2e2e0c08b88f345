//! `orrery sim` from outside. Its planted bug is the canary: a hunt that must fail, or failing does
//! not work.
#![cfg(feature = "sim")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it runs processes")]

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_orrery");

/// The bug that the canary sings of: one of the first seeds finds it.
const CANARY: &str = "AcceptRecoversWholeOffer";

fn sim(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("sim").args(args).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code and the standard output of a hunt.
fn hunt(args: &[&str]) -> (Option<i32>, String) {
    let output = sim(&[&["run"], args].concat());
    (output.status.code(), text(&output.stdout))
}

/// The line that tells which rule was broken when, and how.
fn broken_rule(said: &str) -> String {
    let is_told = |line: &&str| line.starts_with("conservation at ");
    said.lines().find(is_told).unwrap_or_else(|| panic!("no rule in {said}")).to_owned()
}

/// What follows `before` in one of the lines.
fn after<'a>(said: &'a str, before: &str) -> &'a str {
    let found = said.lines().find_map(|line| line.strip_prefix(before));
    found.unwrap_or_else(|| panic!("no '{before}' in {said}"))
}

/// Runs the printed command in a shell, which must fail, and returns what it says.
fn run_again(command: &str, folder: &Path) -> String {
    let output = Command::new("sh").args(["-c", command]).current_dir(folder).output();
    let output = output.expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{command}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_planted_bug_fails_and_its_command_and_its_kept_plan_show_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let kept_text = kept.display().to_string();
    let (code, said) = hunt(&["--seeds=6", "--jobs=1", "--plant", CANARY, "--keep", &kept_text]);
    assert_eq!(code, Some(1), "{said}");
    let rule = broken_rule(&said);
    let command = after(&said, "Again, with its trace: ");
    assert!(command.contains(CANARY), "{command}");
    assert_eq!(broken_rule(&run_again(command, folder.path())), rule);

    let files = std::fs::read_dir(&kept).expect("failures are kept");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    names.sort();
    let plan = names.iter().find(|name| name.extension().is_some_and(|end| end == "plan"));
    let plan = plan.expect("a plan");
    let told = std::fs::read_to_string(plan.with_extension("txt")).expect("a text beside it");
    let command = after(&told, "Again, with its trace: ");
    assert_eq!(broken_rule(&run_again(command, folder.path())), broken_rule(&told));
    let trace = std::fs::read_to_string(format!("{}.trace", plan.display())).expect("a trace");
    assert!(trace.lines().count() > 100, "{trace}");
    // Without the bug the same plan does no harm.
    let (code, said) = hunt(&["--plan", &plan.display().to_string()]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_failing_plan_is_made_smaller() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, said) = hunt(&["--seeds=6", "--jobs=1", "--plant", CANARY]);
    let seed = after(&said, "seed ").split(' ').next().expect("a word").to_owned();
    let output = sim(&["shrink", &seed, "--plant", CANARY]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let plan = text(&output.stdout);
    let steps = |plan: &str| plan.lines().filter(|line| line.starts_with("at ")).count();
    assert!(steps(&plan) <= 2 && plan.starts_with("# conservation at "), "{plan}");
    let file = folder.path().join("small.plan");
    std::fs::write(&file, &plan).expect("written");
    let (code, said) = hunt(&["--plan", &file.display().to_string(), "--plant", CANARY]);
    assert_eq!(code, Some(1), "{said}");
    let output = sim(&["shrink", "--plan", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("it does not fail"), "{}", text(&output.stderr));
}

#[test]
fn entropy_fails_with_the_first_line_that_differs() {
    let (code, said) = hunt(&["--seeds=1", "--plant=Entropy"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is the first that differs"), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(" entropy ")).collect();
    assert!(lines[0].starts_with("  here ") && lines[1].starts_with("  there "), "{said}");
}

#[test]
fn exit_codes_tell_what_happened() {
    let (code, said) = hunt(&["--seeds=2", "--first", "e83c5163316f89bfbde7d9ab23ca2e25604af290"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 seeds in ") && said.contains("simulated seconds a second"), "{said}");
    let (code, said) = hunt(&["--seeds=1", "--until-stable=100000"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not stable: ") && said.contains(", of 100000 wanted"), "{said}");
    for args in [
        &["run", "--sedes=1"][..],
        &["run"],
        &["run", "--seeds=1", "--plant=None"],
        &["run", "--first=main"],
        &["run", "--plan", "/nowhere/x.plan"],
        &["run", "7", "--jobs=2"],
        &["plan"],
        &["trace"],
        &["shrink", "7", "--keep=x"],
        &["view"],
        &["dance"],
    ] {
        let output = sim(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
    for args in [&["help"][..], &["run", "--help"], &["plan", "-h"], &[]] {
        let output = sim(args);
        assert!(output.status.success() && text(&output.stdout).starts_with("Usage: "), "{args:?}");
    }
}

#[test]
fn a_plan_with_a_mistake_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("typo.plan");
    std::fs::write(&file, "agents 2\n# the other agent\nat 1s crash agent-2\n").expect("written");
    let output = sim(&["run", "--plan", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let expected = ": line 3: host 'agent-2': expected a host of this plan: master-0, agent-0 to";
    assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
}

#[test]
fn one_seed_can_be_run() {
    let (code, said) = hunt(&["3"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("1 seed in ") && said.ends_with("failed: 0\n"), "{said}");
    let (code, said) = hunt(&["--seeds=2", "--coverage"]);
    assert!(code == Some(0) && said.contains("coverage: ") && !said.contains("… and "), "{said}");
}

#[test]
fn a_seeds_plan_is_a_file_that_can_be_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("3.plan");
    std::fs::write(&file, sim(&["plan", "3"]).stdout).expect("written");
    let of_seed = sim(&["trace", "3"]);
    let of_plan = sim(&["trace", "--plan", &file.display().to_string()]);
    assert!(of_seed.status.success() && of_seed.stdout == of_plan.stdout);
}
