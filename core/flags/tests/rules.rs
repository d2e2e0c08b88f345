//! Mesos' rules for flags, each with what it allows and what it refuses.

use std::io;
use std::time::Duration;

use orrery_flags::{FlagError, FlagSpec, Flags, Kind, Rate, flag, parse, usage};
use orrery_runtime::Address;

const SPECS: &[FlagSpec] = &[
    flag("help", Kind::Boolean, "Help.").default("false"),
    flag("strict", Kind::Boolean, "A boolean.").default("true"),
    flag("cluster", Kind::Text, "A text."),
    flag("work_dir", Kind::Path, "A path."),
    flag("port", Kind::Port, "A port.").default("5050"),
    flag("factor", Kind::Double, "A double.").default("0.80"),
    flag("wait", Kind::Duration, "A duration.").default("60secs").at_least("1secs"),
    flag("size", Kind::Bytes, "A size.").default("2048MB"),
    flag("limit", Kind::Percent, "A percentage."),
    flag("ip", Kind::Ip, "An address."),
    flag("master", Kind::Master, "A master."),
    flag("masters", Kind::Masters, "All masters."),
    flag("rate", Kind::Rate, "A rate."),
    flag("env", Kind::Json, "A JSON text."),
    flag("registry", Kind::Text, "A choice.").default("in_memory").one_of(&["in_memory", "log"]),
    flag("pings", Kind::Count, "A count.").aliases(&["slave_pings"]).at_least("1").at_most("9"),
    flag("secure", Kind::Boolean, "Not kept.").default("false").default_only("it comes later"),
    flag("extra", Kind::Text, "Not kept, harmless.").no_effect(),
];

fn read_file(path: &str) -> io::Result<String> {
    match path {
        "/etc/cluster" => Ok("mars\n".to_owned()),
        "/etc/wait" => Ok("5secs".to_owned()),
        "/etc/master" => Ok("10.0.0.1:5050\n".to_owned()),
        "/etc/env" => Ok(r#"{"A":"1"}"#.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    }
}

fn load(args: &[&str], environment: &[(&str, &str)]) -> Result<Flags, FlagError> {
    let args: Vec<String> = args.iter().map(|&text| text.to_owned()).collect();
    let environment: Vec<(String, String)> =
        environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    parse("orrery test", SPECS, &args, &environment, &read_file)
}

fn line(args: &[&str], environment: &[(&str, &str)]) -> String {
    let line = load(args, environment).map(|_| "accepted".to_owned());
    let line = line.unwrap_or_else(|error| error.to_string());
    assert!(!line.contains('\n'), "an error is one line: {line}");
    line
}

fn cluster(args: &[&str], environment: &[(&str, &str)]) -> Option<String> {
    load(args, environment).ok()?.get("cluster")
}

fn strict(args: &[&str], environment: &[(&str, &str)]) -> Option<bool> {
    load(args, environment).ok()?.get("strict")
}

#[test]
fn every_kind_reads_its_form() {
    let args = [
        "--cluster=a=b",
        "--work_dir=/var/lib",
        "--port=0",
        "--factor=0.5",
        "--wait=1.5secs",
        "--size=1mb",
        "--limit=50%",
        "--ip=::1",
        "--master=[::1]:5050",
        "--rate=2/1mins",
        "--env={\"A\":\"1\"}",
        "--pings=9",
    ];
    let flags = load(&args, &[]).expect("all are well-formed");
    assert_eq!(flags.get::<String>("cluster").as_deref(), Some("a=b"));
    assert_eq!(flags.get::<u16>("port"), Some(0));
    assert_eq!(flags.get::<f64>("factor"), Some(0.5));
    assert_eq!(flags.get::<Duration>("wait"), Some(Duration::from_millis(1500)));
    assert_eq!(flags.get::<u64>("size"), Some(1 << 20));
    assert_eq!(flags.get::<f64>("limit"), Some(50.0));
    assert_eq!(flags.get::<core::net::IpAddr>("ip"), "::1".parse().ok());
    assert_eq!(flags.get::<Address>("master"), Some(Address::new("::1", 5050)));
    let rate = Rate { count: 2, per: Duration::from_secs(60) };
    assert_eq!(flags.get::<Rate>("rate"), Some(rate));
    assert_eq!(flags.get::<usize>("pings"), Some(9));
}

#[test]
fn every_kind_refuses_other_forms() {
    let wrong = [
        ("port", "65536"),
        ("port", "-1"),
        ("port", ""),
        ("factor", "NaN"),
        ("wait", "10"),
        ("wait", "-1secs"),
        ("wait", "999ms"),
        ("size", "1.5GB"),
        ("size", "10"),
        ("limit", "50"),
        ("limit", "101%"),
        ("ip", "localhost"),
        ("master", "10.0.0.1"),
        ("rate", "0/1secs"),
        ("rate", "1/0secs"),
        ("env", "{"),
        ("pings", "0"),
        ("pings", "10"),
        ("pings", "-3"),
        ("strict", "yes"),
        ("strict", "True"),
        ("registry", "zookeeper"),
    ];
    for (name, value) in wrong {
        let line = line(&[&format!("--{name}={value}")], &[]);
        let start = format!("'--{name}' has the value '{value}': expected ");
        assert!(line.starts_with(&start), "{line}");
    }
}

#[test]
fn booleans_have_six_spellings() {
    assert_eq!(strict(&[], &[]), Some(true));
    assert_eq!(strict(&["--no-strict"], &[]), Some(false));
    assert_eq!(strict(&["--no-strict="], &[]), Some(false));
    assert_eq!(strict(&["--strict=0"], &[]), Some(false));
    assert_eq!(strict(&["--strict=false"], &[]), Some(false));
    assert_eq!(strict(&["--strict="], &[("MESOS_STRICT", "false")]), Some(true));
    assert_eq!(strict(&["--strict"], &[]), Some(true));
    assert_eq!(strict(&[], &[("MESOS_STRICT", "")]), Some(true));
    assert_eq!(strict(&[], &[("MESOS_NO-STRICT", "")]), Some(false));
}

#[test]
fn negation_takes_no_value_and_only_booleans() {
    assert!(line(&["--no-strict=true"], &[]).contains("'--no-strict' has the value 'true'"));
    assert!(line(&["--no-port"], &[]).contains("'--no-port' negates a flag that is not"));
}

#[test]
fn a_space_does_not_give_a_value() {
    let line = line(&["--port", "5050"], &[]);
    assert!(line.starts_with("missing value for '--port': expected '--port=VALUE'"), "{line}");
}

#[test]
fn names_are_lower_cased() {
    assert_eq!(cluster(&["--CLUSTER=mars"], &[]).as_deref(), Some("mars"));
    assert_eq!(cluster(&[], &[("MESOS_cluster", "mars")]).as_deref(), Some("mars"));
}

#[test]
fn unknown_flags_end_the_start_but_unknown_variables_do_not() {
    let unknown = line(&["--colour=red"], &[]);
    assert_eq!(unknown, "unknown flag '--colour': see 'orrery test --help'");
    assert_eq!(line(&[], &[("MESOS_COLOUR", "red"), ("PATH", "/bin")]), "accepted");
}

#[test]
fn a_flag_given_twice_is_refused() {
    let twice = line(&["--port=1", "--port=1"], &[]);
    assert_eq!(twice, "flag 'port' is given twice, as '--port' and as '--port': expected it once");
    assert!(line(&["--strict", "--no-strict"], &[]).contains("'--strict' and as '--no-strict'"));
    assert!(line(&["--pings=1", "--slave_pings=1"], &[]).contains("'pings' is given twice"));
    let alias = [("MESOS_SLAVE_PINGS", "2")];
    assert!(line(&["--pings=1"], &alias).contains("'--pings' and as 'MESOS_SLAVE_PINGS'"));
    let both = [("MESOS_SLAVE_PINGS", "2"), ("MESOS_PINGS", "2")];
    assert!(line(&[], &both).contains("given twice"));
    let cases = [("MESOS_PORT", "1"), ("MESOS_port", "2")];
    assert!(line(&[], &cases).contains("'MESOS_PORT' and as 'MESOS_port'"));
}

#[test]
fn the_command_line_goes_before_the_environment() {
    let environment = [("MESOS_CLUSTER", "venus"), ("MESOS_STRICT", "true")];
    assert_eq!(cluster(&["--cluster=mars"], &environment).as_deref(), Some("mars"));
    assert_eq!(cluster(&[], &environment).as_deref(), Some("venus"));
    assert_eq!(strict(&["--no-strict"], &environment), Some(false));
}

#[test]
fn files_are_read_raw_except_for_paths() {
    assert_eq!(cluster(&["--cluster=file:///etc/cluster"], &[]).as_deref(), Some("mars\n"));
    let flags = load(&["--wait=file:///etc/wait", "--work_dir=file:///var"], &[]).expect("valid");
    assert_eq!(flags.get::<Duration>("wait"), Some(Duration::from_secs(5)));
    assert_eq!(flags.effective().get("work_dir").map(String::as_str), Some("file:///var"));
    assert_eq!(flags.get::<std::path::PathBuf>("work_dir"), Some("/var".into()));
    let missing = line(&[], &[("MESOS_CLUSTER", "file:///none")]);
    assert!(missing.starts_with("'MESOS_CLUSTER' has the value 'file:///none': the file"));
}

#[test]
fn a_master_from_a_file_shows_the_path_only() {
    let flags = load(&["--masters=file:///etc/master"], &[]).expect("valid");
    assert_eq!(flags.get::<String>("masters").as_deref(), Some("10.0.0.1:5050"));
    assert_eq!(flags.effective()["masters"], "file:///etc/master");
}

#[test]
fn json_takes_a_bare_path_with_a_warning() {
    let flags = load(&["--env=/etc/env"], &[]).expect("valid");
    assert_eq!(flags.get::<String>("env").as_deref(), Some(r#"{"A":"1"}"#));
    assert_eq!(flags.warnings().len(), 1);
}

#[test]
fn old_names_and_ignored_things_warn() {
    let flags = load(&["--slave_pings=3", "--extra=x", "word"], &[]).expect("valid");
    assert_eq!(flags.get::<u64>("pings"), Some(3));
    assert_eq!(flags.effective()["slave_pings"], "3");
    assert!(!flags.effective().contains_key("pings"));
    let warnings = flags.warnings().join("\n");
    for named in ["--slave_pings", "--extra", "word"] {
        assert!(warnings.contains(named), "{warnings}");
    }
}

#[test]
fn what_is_not_kept_is_refused_unless_it_is_the_default() {
    assert_eq!(line(&["--secure=false"], &[]), "accepted");
    assert_eq!(line(&["--no-secure"], &[]), "accepted");
    let refused = line(&["--secure"], &[]);
    assert_eq!(refused, "'--secure' has the value 'true', which is not supported: it comes later");
}

#[test]
fn what_follows_the_double_dash_is_left_alone() {
    let flags = load(&["--port=1", "--", "--port=2", "x"], &[]).expect("valid");
    assert_eq!(flags.get::<u16>("port"), Some(1));
    assert_eq!(flags.rest(), ["--port=2", "x"]);
}

#[test]
fn help_goes_before_every_error() {
    let flags = load(&["--colour", "--help", "--port=x"], &[]).expect("help was asked for");
    assert!(flags.is_set("help"));
    assert!(!load(&["--", "--help"], &[]).expect("not a flag").is_set("help"));
}

#[test]
fn the_effective_values_are_in_mesos_form() {
    let effective = load(&["--limit=50.5%"], &[]).expect("valid").effective();
    let shown = |name: &str| effective.get(name).map(String::as_str);
    assert_eq!(shown("factor"), Some("0.8"));
    assert_eq!(shown("wait"), Some("1mins"));
    assert_eq!(shown("size"), Some("2GB"));
    assert_eq!(shown("strict"), Some("true"));
    assert_eq!(shown("limit"), Some("50.5%"));
    assert_eq!(shown("cluster"), None);
}

#[test]
fn passwords_are_not_shown() {
    let url = "zk://user:pa:ss@word@h1:1,h2:2/mesos";
    let effective = load(&[&format!("--masters={url}")], &[]).expect("valid").effective();
    let shown = effective.get("masters").map(String::as_str);
    assert_eq!(shown, Some("zk://user:…@h1:1,h2:2/mesos"));
    let line = load(&[&format!("--port={url}")], &[]).expect_err("it is no port").to_string();
    assert!(line.contains("'zk://user:…@h1:1,h2:2/mesos'"), "{line}");
    let effective = load(&["--masters=h1:1,h2:2"], &[]).expect("valid").effective();
    assert_eq!(effective.get("masters").map(String::as_str), Some("h1:1,h2:2"));
}

#[test]
fn a_required_flag_names_both_ways_to_give_it() {
    let specs = [flag("work_dir", Kind::Text, "A folder.").required()];
    let error = parse("orrery test", &specs, &[], &[], &read_file).expect_err("it is missing");
    let line = error.to_string();
    assert!(line.contains("'--work_dir'") && line.contains("MESOS_WORK_DIR"), "{line}");
}

#[test]
fn usage_names_every_flag() {
    let text = usage("orrery test", "Tests.", SPECS);
    for spec in SPECS {
        assert!(text.contains(spec.name), "{}", spec.name);
    }
}
