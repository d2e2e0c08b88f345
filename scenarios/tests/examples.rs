//! The frameworks that users know, in a simulated cluster: the same bytes as in production.
#![cfg(feature = "sim")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_api::v1;
use orrery_examples::test_framework::{self, TestFramework};
use orrery_model::Resources;
use orrery_net_scheduler::Options;
use orrery_runtime::ExitStatus;
use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::Shape;
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::scenario::watched;
use orrery_scheduler::execute::{self, Execute};
use orrery_scheduler::{Context, Event, Framework};

/// Runs `scenario` with a cluster, once for each of a few seeds.
fn with_cluster<F, Fut>(shape: Shape, scenario: F)
where
    F: Fn(Cluster) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()>,
{
    for seed in 0..5 {
        let (scenario, shape) = (scenario.clone(), shape.clone());
        let report = simulate(seed, Config::default(), move |world| async move {
            watched(world, &shape, &Bugs::default(), Checks::all(), scenario).await
        });
        match report.outcome {
            Ok(Ok(())) => {}
            Ok(Err(violation)) => panic!("seed {seed}: {violation}"),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
}

/// Lines that a framework has printed.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn printer(&self) -> Box<dyn FnMut(&str) + Send> {
        let lines = self.clone();
        Box::new(move |line| lines.0.lock().expect("unpoisoned").push(line.to_owned()))
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("unpoisoned").clone()
    }
}

#[test]
fn the_test_framework_runs_five_tasks() {
    with_cluster(Shape::default(), |cluster| async move {
        let (lines, options) = (Lines::default(), test_framework::Options::default());
        let host = cluster.world().host("client");
        let master = cluster.master_address();
        let framework = TestFramework::new(options.clone(), lines.printer()).expect("plain");
        let process = host.start("test_framework", |runtime| async move {
            let options = Options::new(vec![master], options.framework_info());
            let outcome = orrery_net_scheduler::run(runtime, options, framework).await;
            i32::from(outcome.framework.exit_code())
        });
        assert_eq!(host.wait(process).await, Some(ExitStatus::Exited(0)));
        let lines = lines.all();
        assert_eq!(lines[0], "Registered!");
        assert!(lines[1].starts_with("Received offer "), "{}", lines[1]);
        let finished = lines.iter().filter(|line| line.ends_with("is in state TASK_FINISHED"));
        assert_eq!(finished.count(), 5);
    });
}

async fn execute(cluster: &Cluster, command: &str) -> (Option<ExitStatus>, Vec<String>) {
    let lines = Lines::default();
    let options = execute::Options {
        name: Some("test".to_owned()),
        command: Some(command.to_owned()),
        user: "root".to_owned(),
        ..execute::Options::default()
    };
    let framework = Execute::new(&options, lines.printer()).expect("complete");
    let info = options.framework_info().expect("complete");
    let master = cluster.master_address();
    let host = cluster.world().host("client");
    let process = host.start("mesos-execute", |runtime| async move {
        let options = Options::new(vec![master], info);
        let outcome = orrery_net_scheduler::run(runtime, options, framework).await;
        i32::from(outcome.framework.exit_code())
    });
    (host.wait(process).await, lines.all())
}

#[test]
fn execute_ends_as_its_task_does() {
    with_cluster(Shape::default(), |cluster| async move {
        let (status, lines) = execute(&cluster, "echo hello; sleep 0.5").await;
        assert_eq!(status, Some(ExitStatus::Exited(0)), "{lines:#?}");
        let updates = lines.iter().filter_map(|line| line.strip_prefix("Received status update "));
        let states: Vec<_> = updates.filter_map(|rest| rest.split(' ').next()).collect();
        assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
        let (status, _) = execute(&cluster, "exit 3").await;
        assert_eq!(status, Some(ExitStatus::Exited(1)));
    });
}

/// Launches one task for each of `wanted` on its first offer; keeps what it was offered.
struct Simple {
    wanted: Vec<&'static str>,
    offered: Arc<Mutex<Vec<String>>>,
}

impl Framework for Simple {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        let Event::Offers(offers) = event else { return };
        for offer in offers {
            let resources = Resources::from_messages(&offer.resources).expect("of a master");
            let text = resources.unallocated().to_string();
            self.offered.lock().expect("unpoisoned").push(text);
            let task = |(number, wanted): (usize, &str)| v1::TaskInfo {
                name: wanted.to_owned(),
                task_id: v1::TaskId { value: number.to_string() },
                agent_id: offer.agent_id.clone(),
                resources: Resources::parse(wanted, "*").expect("well-formed").to_messages(),
                command: Some(v1::CommandInfo {
                    value: Some("sleep 1000".to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let tasks: Vec<_> =
                std::mem::take(&mut self.wanted).into_iter().enumerate().map(task).collect();
            if !tasks.is_empty() {
                context.launch(&[offer.id], tasks, None);
            }
        }
    }
}

fn start_simple(cluster: &Cluster, name: &str, wanted: &[&'static str]) -> Arc<Mutex<Vec<String>>> {
    let offered = Arc::new(Mutex::new(Vec::new()));
    let framework = Simple { wanted: wanted.to_vec(), offered: offered.clone() };
    let info =
        v1::FrameworkInfo { user: "root".to_owned(), name: name.to_owned(), ..Default::default() };
    let options = Options::new(vec![cluster.master_address()], info);
    cluster.world().host(name).start(name, |runtime| async move {
        drop(orrery_net_scheduler::run(runtime, options, framework).await);
        0
    });
    offered
}

#[test]
fn what_two_tasks_of_one_offer_leave_over_goes_to_another_framework() {
    let shape =
        Shape { agents: 1, agent_resources: "cpus:4;mem:4096".to_owned(), ..Shape::default() };
    with_cluster(shape, |cluster| async move {
        let first = start_simple(&cluster, "one", &["cpus:2;mem:1024", "cpus:1;mem:2048"]);
        let of = |offered: &Arc<Mutex<Vec<String>>>| offered.lock().expect("unpoisoned").clone();
        let limit = Duration::from_secs(10);
        let interval = Duration::from_millis(10);
        assert!(cluster.world().until(limit, interval, || !of(&first).is_empty()).await);
        assert_eq!(of(&first), ["cpus:4; mem:4096"]);
        let second = start_simple(&cluster, "two", &[]);
        assert!(cluster.world().until(limit, interval, || !of(&second).is_empty()).await);
        assert_eq!(of(&second), ["cpus:1; mem:1024"]);
    });
}
