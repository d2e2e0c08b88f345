//! A real agent between a master and an executor that the test plays: real sockets, real processes.

#![allow(clippy::disallowed_methods)]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use http::Method;
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_net_agent::{Options, StartError, start};
use orrery_runtime::Runtime;
use serde_json::Value;
use support::{AGENT_ID, Http, Master, executor_call, options, post};

fn runtime() -> Runtime {
    orrery_runtime_real::runtime()
}

/// Checks that `ours` has the keys and types of `recorded`; of lists the first items are compared.
fn assert_same_shape(ours: &Value, recorded: &Value, place: &str) {
    match (ours, recorded) {
        (Value::Object(ours), Value::Object(recorded)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                let mut keys: Vec<String> = object.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(ours), keys(recorded), "keys at {place}");
            for (key, value) in ours {
                assert_same_shape(value, &recorded[key], &format!("{place}/{key}"));
            }
        }
        (Value::Array(ours), Value::Array(recorded)) => {
            if let (Some(ours), Some(recorded)) = (ours.first(), recorded.first()) {
                assert_same_shape(ours, recorded, &format!("{place}[0]"));
            }
        }
        (Value::Number(ours), Value::Number(recorded)) => {
            assert_eq!(ours.is_f64(), recorded.is_f64(), "number at {place}");
        }
        _ => {
            let (ours_kind, recorded_kind) =
                (std::mem::discriminant(ours), std::mem::discriminant(recorded));
            assert_eq!(ours_kind, recorded_kind, "type at {place}: {ours} and {recorded}");
        }
    }
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Keys that the recorded task group has and that a task of another executor has not.
fn state_without_running(mut state: Value) -> Value {
    state["frameworks"] = serde_json::json!([]);
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_and_every_endpoint_has_the_recorded_shape() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    let agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let mut link = master.admit().await;
    let http = Http::new(&runtime, &agent);

    link.run("t", "e", "echo hello; exec sleep 1000");
    let mut events = http.subscribe("e").await;
    let subscribed = events.expect("SUBSCRIBED").await;
    assert_eq!(subscribed["subscribed"]["agent_info"]["id"]["value"], AGENT_ID);
    // The executor that the test plays can be faster than the process that stands for it.
    http.wait_for("/containers", |answer| answer.2.len() > 2).await;
    let launch = events.expect("LAUNCH").await;
    assert_eq!(launch["launch"]["task"]["task_id"]["value"], "t");
    assert_eq!(http.update("e", "t", "TASK_RUNNING", 1).await.0, 202);
    events.expect("ACKNOWLEDGED").await;
    let status = link.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskRunning);
    assert!(status.container_status.unwrap().executor_pid.is_some());
    running_shapes(&http).await;
    sandbox_is_served(&http, work_dir.path()).await;

    http.update("e", "t", "TASK_FINISHED", 2).await;
    events.expect("ACKNOWLEDGED").await;
    assert_eq!(link.update().await.state(), v1::TaskState::TaskFinished);
    link.send(from_master::Body::ShutdownExecutor(link::ShutdownExecutor {
        framework_id: Some(support::framework_id()),
        executor_id: Some(v1::ExecutorId { value: "e".into() }),
    }));
    events.expect("SHUTDOWN").await;
    let from_agent::Body::ExecutorExited(exited) = link.receive().await else { panic!() };
    assert_eq!(exited.status, 9, "it ignored SHUTDOWN, so it was killed");
    assert_eq!(events.next().await, None);
    completed_shapes(&http).await;
}

async fn running_shapes(http: &Http) {
    let state = http.json("/state").await;
    let old = recorded(include_str!("recorded/state.json"));
    assert_same_shape(&state["frameworks"], &old["frameworks"], "/frameworks");
    assert_eq!(state["unreserved_resources_allocated"]["cpus"], 0.2);
    let cases = [
        ("/containers", include_str!("recorded/containers.json")),
        ("/slave(1)/containers", include_str!("recorded/containers.json")),
        ("/monitor/statistics", include_str!("recorded/monitor_statistics.json")),
        ("/version", include_str!("recorded/version.json")),
        ("/system/stats.json", include_str!("recorded/system_stats.json")),
    ];
    for (path, text) in cases {
        assert_same_shape(&http.json(path).await, &recorded(text), path);
    }
    let calls = [
        ("GET_AGENT", include_str!("recorded/get_agent.json")),
        ("GET_CONTAINERS", include_str!("recorded/get_containers.json")),
        ("GET_HEALTH", include_str!("recorded/get_health.json")),
        ("GET_VERSION", include_str!("recorded/get_version.json")),
        ("GET_OPERATIONS", include_str!("recorded/get_operations.json")),
        ("GET_RESOURCE_PROVIDERS", include_str!("recorded/get_resource_providers.json")),
    ];
    for (kind, text) in calls {
        assert_same_shape(&http.call(kind).await, &recorded(text), kind);
    }
    let tasks = http.call("GET_TASKS").await;
    let old = recorded(include_str!("recorded/get_state.json"));
    let old = &old["get_state"]["get_tasks"]["launched_tasks"];
    assert_same_shape(&tasks["get_tasks"]["launched_tasks"], old, "launched_tasks");
    metrics_are_complete(http).await;
}

async fn metrics_are_complete(http: &Http) {
    let ours = http.json("/metrics/snapshot").await;
    let recorded = recorded(include_str!("recorded/metrics_snapshot.json"));
    // What sandbox collection, recovery, the fetcher and resource providers will bring.
    let later = [
        "containerizer/",
        "gc/",
        "resource_provider_manager/",
        "slave/recovery_time",
        "slave/executor_directory_max_allowed_age",
    ];
    for (name, value) in recorded.as_object().unwrap() {
        if !later.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(value.is_f64() && ours[name].is_f64(), "{name}");
        }
    }
    assert_eq!(ours["slave/registered"], 1.0);
    assert_eq!(ours["slave/tasks_running"], 1.0);
    assert_eq!(ours["slave/cpus_percent"], 0.05);
}

async fn sandbox_is_served(http: &Http, work_dir: &Path) {
    let short = "/frameworks/M-0000/executors/e/runs/latest";
    let long = format!("{}/slaves/{AGENT_ID}{short}", work_dir.to_str().unwrap());
    for base in [short, &long] {
        let path = format!("/files/read?path={base}/stdout&offset=0");
        let said = |answer: &support::Answer| {
            String::from_utf8_lossy(&answer.2).contains("\"data\":\"hello\\n\"")
        };
        http.wait_for(&path, said).await;
        let listed = http.json(&format!("/files/browse?path={base}")).await;
        let names: Vec<_> = listed.as_array().unwrap().iter().map(|it| &it["path"]).collect();
        let expected = [format!("{base}/stderr"), format!("{base}/stdout")];
        assert_eq!(names, expected.iter().collect::<Vec<_>>());
    }
    let body = format!(
        "{{\"type\":\"READ_FILE\",\"read_file\":{{\"path\":\"{short}/stdout\",\
        \"offset\":1,\"length\":3}}}}"
    );
    let (status, _, body) = http.post("/api/v1", &body).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["read_file"]["data"]), (200, &Value::from("ZWxs")));
    assert!(work_dir.join("slaves/latest").join(short.trim_start_matches('/')).exists());
}

async fn completed_shapes(http: &Http) {
    for path in ["/state", "/state.json", "/slave(1)/state", "/slave%281%29/state"] {
        let state = http.json(path).await;
        let old = state_without_running(recorded(include_str!("recorded/state.json")));
        assert_same_shape(&state, &old, path);
    }
    let state = http.call("GET_STATE").await;
    let old = recorded(include_str!("recorded/get_state.json"));
    let mut old_without_running = old.clone();
    old_without_running["get_state"]["get_tasks"]["launched_tasks"] = serde_json::json!([]);
    assert_same_shape(&state, &old_without_running, "GET_STATE");
    assert_eq!(http.call("GET_CONTAINERS").await, serde_json::json!({"type": "GET_CONTAINERS"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_get_mesos_answers() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let master = Master::start(&runtime).await;
    let agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let http = Http::new(&runtime, &agent);
    let stranger = executor_call("e", "\"type\":\"SUBSCRIBE\",\"subscribe\":{}");
    let cases = [
        ("/api/v1/executor", stranger.as_str(), 400, "Framework cannot be found"),
        ("/slave(1)/api/v1/executor", &stranger, 400, "Framework cannot be found"),
        ("/api/v1/executor", "{", 400, "Failed to parse"),
        ("/api/v1", "{\"type\":\"BOGUS\"}", 400, "Expecting 'type' to be present"),
        ("/api/v1", "{\"type\":\"UNKNOWN\"}", 501, "UNKNOWN"),
        ("/api/v1", "{\"type\":\"GET_METRICS\"}", 400, "Expecting 'get_metrics' to be present"),
        ("/api/v1", "{\"type\":\"PRUNE_IMAGES\"}", 501, "PRUNE_IMAGES"),
        ("/nosuch", "", 404, "404 Not Found."),
    ];
    for (path, body, expected, mention) in cases {
        let (status, kind, answer) = http.post(path, body).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!((status, kind.as_str()), (expected, "text/plain; charset=utf-8"), "{body}");
        assert!(answer.contains(mention), "{answer}");
    }
    assert_eq!(http.get("/api/v1/executor").await.0, 405);
    assert_eq!(http.get("/api/v1").await.0, 405);
    let mut wrong_type = post("/api/v1", "{}");
    let value = "application/json; charset=utf-8".parse().unwrap();
    wrong_type.headers_mut().insert("content-type", value);
    assert_eq!(http.send(wrong_type).await.0, 415);
    let mut wrong_accept = post("/api/v1", "{\"type\":\"GET_HEALTH\"}");
    wrong_accept.headers_mut().insert("accept", "text/html".parse().unwrap());
    assert_eq!(http.send(wrong_accept).await.0, 406);
    let mut untyped = post("/api/v1", "{}");
    untyped.headers_mut().remove("content-type");
    assert_eq!(http.send(untyped).await.0, 400);
    let mut put = post("/state", "");
    *put.method_mut() = Method::PUT;
    assert_eq!(http.send(put).await.0, 200);
    assert_eq!(http.get("/containers?executor_id=e").await.0, 400);
    assert_eq!(http.get("/health").await, (200, String::new(), bytes::Bytes::new()));
    assert_eq!(http.json("/flags").await["flags"]["attributes"], "rack:r1;zone:z1");
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_spoken_too() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let master = Master::start(&runtime).await;
    let agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let http = Http::new(&runtime, &agent);
    let mut call = post("/api/v1", "{\"type\":\"GET_AGENT\"}");
    call.headers_mut().insert("accept", "application/x-protobuf".parse().unwrap());
    let (status, kind, body) = http.send(call).await;
    assert_eq!((status, kind.as_str()), (200, "application/x-protobuf"));
    let answer: v1::agent::Response = orrery_api::protobuf::decode(&body).unwrap();
    let info = answer.get_agent.unwrap().agent_info.unwrap();
    assert_eq!(info.port, Some(i32::from(agent.address.port())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_comes_back_to_its_master_with_its_tasks() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    let agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let http = Http::new(&runtime, &agent);
    let link = master.admit().await;
    link.run("t", "e", "exec sleep 1000");
    let _events = http.subscribe("e").await;
    drop(link);
    let mut link = master.accept().await;
    let from_agent::Body::Register(register) = link.receive().await else { panic!() };
    assert_eq!(register.agent_info.unwrap().id.unwrap().value, AGENT_ID);
    assert_eq!(register.tasks[0].task_id.value, "t");
    assert_eq!(register.executors[0].executor_id.value, "e");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_leaves_no_process_and_no_listener() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    let agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let http = Http::new(&runtime, &agent);
    let mut link = master.admit().await;
    // A child in the background must go as well.
    link.run("t", "e", "sleep 1000 & echo $!; exec sleep 1000");
    let mut events = http.subscribe("e").await;
    let path = "/files/read?path=/frameworks/M-0000/executors/e/runs/latest/stdout&offset=0";
    let said = |answer: &support::Answer| String::from_utf8_lossy(&answer.2).contains("\\n");
    let (_, _, body) = http.wait_for(path, said).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let child: u32 = body["data"].as_str().unwrap().trim().parse().unwrap();
    let address = agent.address;
    agent.leave().await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    events.expect("SHUTDOWN").await;
    let mut last = link.receive().await;
    while !matches!(last, from_agent::Body::Unregister(_)) {
        last = link.receive().await;
    }
    // A killed process that nobody has waited for yet is a zombie: its state is Z.
    let stat = format!("/proc/{child}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        runtime.sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(runtime.network.connect(&address.into()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_fails_the_task() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    let options = Options {
        executor_program: "/nosuch/mesos-executor".into(),
        ..options(&master, work_dir.path())
    };
    let _agent = start(runtime.clone(), options).await.unwrap();
    let mut link = master.admit().await;
    link.send(from_master::Body::RunTask(Box::new(link::RunTask {
        launch_executor: None,
        framework_info: Some(v1::FrameworkInfo {
            id: Some(support::framework_id()),
            ..Default::default()
        }),
        task_info: Some(v1::TaskInfo {
            task_id: v1::TaskId { value: "t".into() },
            command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
            ..Default::default()
        }),
    })));
    let status = link.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskFailed);
    assert_eq!(status.reason(), v1::task_status::Reason::ContainerLaunchFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_shutdown_ends_the_agent() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    let mut agent = start(runtime.clone(), options(&master, work_dir.path())).await.unwrap();
    let link = master.admit().await;
    let gone = link::Shutdown { message: "marked gone".into(), keeps_identity: false };
    link.send(from_master::Body::Shutdown(gone));
    assert!(agent.ended().await.to_string().contains("marked gone"));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_start_is_told() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let master = Master::start(&runtime).await;
    let file = work_dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside_a_file = options(&master, &file.join("work"));
    let error = start(runtime.clone(), inside_a_file).await.unwrap_err();
    assert!(matches!(error, StartError::WorkDirectory { .. }));
    assert!(error.to_string().starts_with("work_dir '"), "{error}");
    let taken = Options { port: master.address.port, ..options(&master, work_dir.path()) };
    let error = start(runtime, taken).await.unwrap_err();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), master.address.port);
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_is_no_reason_to_give_anything_up() {
    let runtime = runtime();
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = Master::start(&runtime).await;
    // One port all along, whichever it listens on.
    let advertise_port = Some(5051);
    let options = Options { advertise_port, ..options(&master, work_dir.path()) };
    let agent = start(runtime.clone(), options.clone()).await.unwrap();
    let _link = master.admit().await;
    let latest = work_dir.path().join("meta/slaves/latest");
    while !latest.join("slave.info").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    agent.stop().await;
    // A folder in the place of a file: it can be neither read nor written.
    let journal = latest.canonicalize().unwrap().join("journal.7");
    std::fs::create_dir(&journal).unwrap();
    let refused = start(runtime.clone(), options.clone()).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.starts_with(&format!("cannot use '{}': ", journal.display())), "{text}");
    assert!(text.contains("Nothing is lost by that"), "{text}");
    assert!(!text.contains("strict") && !text.contains("rm -f"), "{text}");
    std::fs::remove_dir(&journal).unwrap();
    std::fs::write(&journal, "no batch, and no torn one: a later journal has one").unwrap();
    std::fs::write(journal.with_extension("8"), "torn").unwrap();
    let damaged = start(runtime, options).await.unwrap_err().to_string();
    assert!(damaged.contains("--no-strict") && damaged.contains("rm -f"), "{damaged}");
}
