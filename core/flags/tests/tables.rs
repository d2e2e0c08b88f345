//! The tables hold together and show what a real Mesos shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use orrery_flags::{FlagSpec, Value, parse, tables};

fn read_file(_path: &str) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn effective(specs: &[FlagSpec], args: &[&str]) -> BTreeMap<String, String> {
    let args: Vec<String> = args.iter().map(|&text| text.to_owned()).collect();
    parse("test", specs, &args, &[], &read_file).expect("valid").effective()
}

#[test]
fn names_are_unique_and_bounds_and_defaults_are_values() {
    let daemons = [tables::master(), tables::agent(), tables::local(), tables::execute()];
    let tools = [
        tables::log_initialize(),
        tables::log_read(),
        tables::log_replica(),
        tables::log_benchmark(),
    ];
    for specs in daemons.into_iter().chain(tools) {
        let mut names = BTreeSet::new();
        for spec in &specs {
            for name in [spec.name].iter().chain(spec.aliases) {
                assert!(names.insert(*name), "{name} stands twice");
            }
            for value in [spec.default, spec.minimum, spec.maximum].into_iter().flatten() {
                assert!(Value::read(spec.kind, value).is_some(), "{}: {value}", spec.name);
            }
            if let (Some(default), false) = (spec.default, spec.choices.is_empty()) {
                assert!(spec.choices.contains(&default), "{}", spec.name);
            }
        }
    }
}

#[test]
fn the_masters_defaults_are_those_of_mesos() {
    let shown = effective(&tables::master(), &["--work_dir=/m"]);
    let expected = [
        ("agent_ping_timeout", "15secs"),
        ("agent_reregister_timeout", "10mins"),
        ("allocation_interval", "1secs"),
        ("allocator_agent_recovery_factor", "0.8"),
        ("min_allocatable_resources", "cpus:0.01|mem:32"),
        ("offer_constraints_re2_max_mem", "4KB"),
        ("port", "5050"),
        ("recovery_agent_removal_limit", "100%"),
        ("registry_max_agent_age", "2weeks"),
        ("zk_session_timeout", "10secs"),
        ("help", "false"),
        ("work_dir", "/m"),
    ];
    for (name, value) in expected {
        assert_eq!(shown.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!shown.contains_key("offer_timeout"));
}

#[test]
fn the_agents_defaults_are_those_of_mesos() {
    let shown = effective(&tables::agent(), &["--master=127.0.0.1:5050", "--work_dir=/a"]);
    let expected = [
        ("default_role", "*"),
        ("docker_stop_timeout", "0ns"),
        ("executor_registration_timeout", "1mins"),
        ("fetcher_cache_size", "2GB"),
        ("gc_delay", "1weeks"),
        ("gc_disk_headroom", "0.1"),
        ("master", "127.0.0.1:5050"),
        ("recovery_timeout", "15mins"),
        ("docker_remove_delay", "6hrs"),
    ];
    for (name, value) in expected {
        assert_eq!(shown.get(name).map(String::as_str), Some(value), "{name}");
    }
}
