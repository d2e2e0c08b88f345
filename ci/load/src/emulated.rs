//! Emulated agents and frameworks around a real master.

use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};

use crate::agent::Manner;
use crate::agent_link;
use crate::arguments::Emulated;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::framework::Times;
use crate::progress::Progress;
use crate::report::Report;
use crate::schedulers::Schedulers;
use crate::usage::Usage;

/// What was measured beside the progress.
struct Measured {
    /// Until the last agent was registered.
    registration: Duration,
    times: Times,
    /// Of the own master: before agents came, before the first ACCEPT, at the end.
    master: Option<[Usage; 3]>,
    /// Of this process: before the first ACCEPT, at the end.
    own: [Usage; 2],
}

/// Runs the tasks.
///
/// # Errors
/// The master does not start or ends, anything is refused, or it takes too long.
pub async fn run(options: &Emulated) -> Result<Report, Failure> {
    let progress = Arc::new(Progress::new(options.agents, options.work.tasks));
    let measured = Cluster::with(&options.common, &progress, async |cluster| {
        measure(options, cluster, &progress).await
    });
    let measured = measured.await?;
    let mut report = Report::default();
    report.word("mode", "mode", "emulated");
    report.count("agents", "agents", options.agents);
    report.count("frameworks", "frameworks", options.frameworks);
    report.work(&options.work);
    report.setting("run_time", "run time of a task", options.run_time);
    let states = if options.starting { 3_u32 } else { 2 };
    report.count("updates_per_task", "updates per task", states);
    report.time("registration", "until all agents were registered", measured.registration);
    let label = "RUNNING and acknowledged";
    report.rate("running_acknowledged", label, &progress, &progress.running_acknowledged);
    let label = "finished and acknowledged";
    report.rate("finished_acknowledged", label, &progress, &progress.finished_acknowledged);
    let times = measured.times;
    report.latencies("accept_to_running", "ACCEPT to RUNNING", times.running);
    report.latencies("accept_to_finished", "ACCEPT to FINISHED", times.finished);
    if let Some([idle, before, after]) = &measured.master {
        report.memory("master_idle", "master without agents", idle);
        report.memory("master_before", "master with agents", before);
        report.memory("master_after", "master at the end", after);
        report.cpu("master_registration", "master, registrations", idle, before);
        report.cpu("master", "master, tasks", before, after);
    }
    let [before, after] = &measured.own;
    report.cpu("load", "this process, tasks", before, after);
    Ok(report)
}

async fn measure(
    options: &Emulated,
    cluster: &mut Cluster,
    progress: &Arc<Progress>,
) -> Result<Measured, Failure> {
    let runtime = orrery_runtime_real::runtime();
    let work = &options.work;
    let master = match &options.master {
        Some(master) => master.clone(),
        None => cluster.start_master(&options.common, work.allocation_interval).await?,
    };
    let usage = |cluster: &Cluster| cluster.master().map(Daemon::usage).transpose();
    let idle = usage(cluster)?;

    let start = runtime.clock.now();
    let agents = start_agents(&runtime, &master, options, progress);
    progress.registered.reached().await;
    let registration = progress.registered.last().since(start);

    let (before, own_before) = (usage(cluster)?, Usage::of_this_process()?);
    let schedulers = Schedulers::start(&runtime, &master, work, options.frameworks, progress);
    progress.finished_acknowledged.reached().await;
    let (after, own_after) = (usage(cluster)?, Usage::of_this_process()?);
    let times = schedulers.stop().await?;
    drop(agents);

    let master = idle.zip(before).zip(after).map(|((idle, before), after)| [idle, before, after]);
    Ok(Measured { registration, times, master, own: [own_before, own_after] })
}

fn start_agents(
    runtime: &Runtime,
    master: &Address,
    options: &Emulated,
    progress: &Arc<Progress>,
) -> Vec<AbortOnDrop> {
    let manner = Arc::new(Manner {
        resources: options.agent_resources.to_messages(),
        starting: options.starting,
        run_time: options.run_time,
    });
    let start = |number| {
        let (manner, progress) = (Arc::clone(&manner), Arc::clone(progress));
        let agent = agent_link::run(runtime.clone(), master.clone(), number, manner, progress);
        runtime.spawn("emulated agent", agent).abort_on_drop()
    };
    (0..options.agents).map(start).collect()
}
