//! Going on with files that are damaged.

use std::collections::BTreeSet;

use bytes::Bytes;
use orrery_api::v1::TaskState::{TaskDropped, TaskFinished, TaskRunning, TaskStarting};
use orrery_runtime::ProcessId;

use crate::testing::{Bench, Files, apply, state, uuid};
use crate::{Input, Life, Recovered, info_from_file, info_to_file};

const LIVES: Life = Life::Lives(ProcessId(100));

/// A running command task `t` whose TASK_RUNNING is acknowledged.
fn running() -> Bench {
    let mut bench = Bench::running();
    bench.acknowledge("t", &uuid(2));
    bench
}

fn path_of(files: &Files, name: &str) -> String {
    files.keys().find(|path| path.ends_with(name)).expect("a file of this name").clone()
}

/// Turns over one bit in some of a task's updates: the first is TASK_STARTING, the second its
/// acknowledgement, and so on.
fn damage_updates(bench: &mut Bench, damaged: &[usize]) {
    let path = path_of(&bench.files, "task.updates");
    let mut content = bench.files[&path].to_vec();
    let mut at = 0;
    for record in 0.. {
        let Some(length) = content[at..].first_chunk::<4>() else { break };
        let end = at + 4 + u32::from_le_bytes(*length) as usize;
        if damaged.contains(&record) {
            content[at + 8] ^= 1;
        }
        at = end;
    }
    bench.files.insert(path, content.into());
}

#[test]
fn what_is_not_whole_is_an_error_or_left_out() {
    let mut bench = running();
    bench.run_and_subscribe("other", 2);
    let is_unused = |path: &str| path.ends_with("framework.pid");
    for (path, whole) in &bench.files {
        for length in [0, 1, whole.len().saturating_sub(1)] {
            let content = whole.slice(..length.min(whole.len()));
            let harmless = content == whole || is_unused(path);
            let mut files = bench.files.clone();
            files.insert(path.clone(), content);
            let tolerant = Recovered::read("S0".into(), &files, true).unwrap();
            match Recovered::read("S0".into(), &files, false) {
                Ok(_) => assert!(harmless && tolerant.errors == 0, "{path} of {length} bytes"),
                Err(error) => {
                    assert!(!harmless, "{error}");
                    assert_eq!((error.path, tolerant.errors), (path.clone(), 1));
                }
            }
            tolerant.repairs.iter().for_each(|repair| apply(&mut files, repair));
            let repaired = Recovered::read("S0".into(), &files, false).unwrap();
            assert_eq!(repaired.errors, 0, "{path} of {length} bytes");
        }
    }
}

/// Every file that there can be: of a task that runs, one that waits for its executor, one whose
/// executor was told to kill it, and of a launch that was refused.
#[test]
fn any_turned_bit_of_any_file_is_an_error_or_changes_nothing() {
    let mut bench = running();
    bench.kill("t");
    bench.run("waiting");
    bench.start(101);
    bench.feed(Input::LinkDown { link: 1 });
    bench.register_missing(&["lost"]);
    // The bytes of files that hold several records are kept beside what they say.
    let said = |files: &Files| {
        Recovered::read("S0".into(), files, false).map(|mut read| {
            let executors = read.frameworks.iter_mut().flat_map(|one| &mut one.executors);
            let tasks = executors.flat_map(|one| &mut one.tasks).map(|task| &mut task.updates);
            let updates = tasks.chain(read.unlaunched.values_mut());
            updates.for_each(|updates| updates.content = Bytes::new());
            format!("{:?} {:?}", read.frameworks, read.unlaunched)
        })
    };
    let expected = said(&bench.files).unwrap();
    let mut names = BTreeSet::new();
    for (path, whole) in &bench.files {
        names.insert(path.rsplit('/').next().unwrap_or_default());
        for bit in 0..whole.len() * 8 {
            let mut content = whole.to_vec();
            content[bit / 8] ^= 1 << (bit % 8);
            let mut files = bench.files.clone();
            files.insert(path.clone(), content.into());
            match said(&files) {
                Err(error) => assert_eq!(&error.path, path),
                Ok(read) => assert_eq!(read, expected, "bit {bit} of {path}"),
            }
        }
    }
    let all = [
        "executor.generated.marker",
        "executor.info",
        "forked.pid",
        "forked.started",
        "framework.info",
        "framework.pid",
        "http.marker",
        "kill.info",
        "launch.info",
        "task.info",
        "task.updates",
    ];
    assert_eq!(names, all.into());
}

#[test]
fn any_turned_bit_of_what_the_agent_is_is_an_error_or_changes_nothing() {
    let info = Bench::running().agent.agent_info();
    let whole = info_to_file(&info);
    for bit in 0..whole.len() * 8 {
        let mut content = whole.to_vec();
        content[bit / 8] ^= 1 << (bit % 8);
        let read = info_from_file(&content);
        assert!(read.is_err() || read.as_ref() == Ok(&info), "bit {bit}: {read:?}");
    }
}

#[test]
fn a_damaged_acknowledgement_has_its_update_repeated_and_nothing_else() {
    let mut bench = running();
    damage_updates(&mut bench, &[3]);
    let strict = Recovered::read("S0".into(), &bench.files, false).unwrap_err();
    assert!(strict.path.ends_with("task.updates"), "{strict}");
    assert!(strict.problem.starts_with("at byte "), "{strict}");
    assert_eq!(bench.restart_damaged(&[("t", LIVES)]), 1);
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED"], "its executor goes on");
    bench.register();
    let update = bench.only_update();
    assert_eq!((state(&update), update.uuid), (TaskRunning, Some(uuid(2))));
    bench.acknowledge("t", &uuid(2));
    bench.update("t", "t", TaskFinished, 3);
    assert_eq!(state(&bench.only_update()), TaskFinished);
    // All that was written is whole again.
    bench.restart(&[("t", LIVES)]);
    bench.subscribe("t", 1);
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskFinished);
}

#[test]
fn a_running_task_goes_on_whatever_is_damaged_of_its_updates() {
    for subset in 0..16 {
        let damaged: Vec<usize> = (0..4).filter(|record| subset >> record & 1 == 1).collect();
        let mut bench = running();
        damage_updates(&mut bench, &damaged);
        assert_eq!(bench.restart_damaged(&[("t", LIVES)]) > 0, !damaged.is_empty());
        bench.subscribe("t", 1);
        assert_eq!(bench.events(1), ["SUBSCRIBED"], "{damaged:?}");
        bench.register();
        for repeated in bench.updates() {
            assert!([TaskStarting, TaskRunning].contains(&state(&repeated)), "{damaged:?}");
            bench.acknowledge("t", &repeated.uuid.unwrap());
        }
        bench.updates();
        bench.update("t", "t", TaskFinished, 3);
        bench.restart(&[("t", LIVES)]);
        bench.subscribe("t", 1);
        bench.register();
        let mut told = Vec::new();
        while let [update] = bench.updates().as_slice() {
            told.push(state(update));
            bench.acknowledge("t", update.uuid.as_ref().unwrap());
        }
        assert_eq!(told.last(), Some(&TaskFinished), "{damaged:?}");
    }
}

#[test]
fn an_emptied_file_of_updates_does_not_end_its_task() {
    let mut bench = running();
    let path = path_of(&bench.files, "task.updates");
    bench.files.insert(path.clone(), Bytes::new());
    let strict = Recovered::read("S0".into(), &bench.files, false).unwrap_err();
    assert_eq!((strict.path, strict.problem.as_str()), (path, "it is empty"));
    assert_eq!(bench.restart_damaged(&[("t", LIVES)]), 1);
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED"]);
    bench.register();
    bench.update("t", "t", TaskFinished, 3);
    assert_eq!(state(&bench.only_update()), TaskFinished);
}

#[test]
fn the_number_of_a_process_is_written_down_twice() {
    let expected = Some((ProcessId(100), Some(7)));
    let bench = running();
    let of = |files: &Files, tolerant| {
        let read = Recovered::read("S0".into(), files, tolerant);
        read.map(|it| (it.frameworks[0].executors[0].forked, it.errors))
    };
    for (content, problem) in [
        ("101", "it holds 101: expected 100, as forked.started says"),
        ("1\x00", "it holds '1\x00': expected a number"),
    ] {
        let mut files = bench.files.clone();
        files.insert(path_of(&files, "forked.pid"), content.into());
        assert_eq!(of(&files, false).unwrap_err().problem, problem);
        assert_eq!(of(&files, true), Ok((expected, 1)));
    }
    let mut files = bench.files.clone();
    files.insert(path_of(&files, "forked.started"), Bytes::from_static(b"7"));
    assert_eq!(of(&files, false), Ok((expected, 0)), "as the first versions wrote it");
    files.insert(path_of(&files, "forked.started"), Bytes::new());
    assert_eq!(of(&files, true), Ok((Some((ProcessId(100), None)), 1)));
}

#[test]
fn a_damaged_launch_is_dropped_and_its_executor_ended() {
    let mut bench = Bench::checkpointing();
    bench.run("t");
    bench.start(100);
    let path = path_of(&bench.files, "launch.info");
    bench.files.insert(path, Bytes::new());
    assert_eq!(bench.restart_damaged(&[("t", LIVES)]), 1);
    assert!(bench.has_destroyed(100), "it would wait for its task for ever");
    bench.register_missing(&["t"]);
    assert_eq!(state(&bench.only_update()), TaskDropped);
}

#[test]
fn what_is_left_out_once_does_not_stop_a_later_start() {
    let mut bench = running();
    let path = path_of(&bench.files, "executor.info");
    bench.files.insert(path, Bytes::new());
    assert_eq!(bench.restart_damaged(&[]), 1);
    assert!(bench.agent.snapshot().frameworks.is_empty());
    bench.register();
    // The same executor once more, in another run.
    bench.run_and_subscribe("t", 1);
    bench.restart(&[("t", LIVES)]);
    bench.subscribe("t", 1);
    assert_eq!(bench.agent.snapshot().frameworks.len(), 1);
}
