//! Real daemons and real tasks.

use std::io;
use std::sync::Arc;

use orrery_model::Resources;

use crate::arguments::Real;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::framework::Times;
use crate::progress::Progress;
use crate::report::Report;
use crate::schedulers::Schedulers;
use crate::usage::Usage;

/// Usage of both daemons and of this process.
struct Usages {
    master: Usage,
    agent: Usage,
    own: Usage,
}

impl Usages {
    fn now(cluster: &Cluster) -> io::Result<Self> {
        let of = |daemon: Option<&Daemon>| daemon.map_or(Ok(Usage::default()), Daemon::usage);
        Ok(Self {
            master: of(cluster.master())?,
            agent: of(cluster.agent())?,
            own: Usage::of_this_process()?,
        })
    }
}

/// Runs the tasks.
///
/// # Errors
/// A daemon does not start or ends, a task does not finish, or it takes too long.
pub async fn run(options: &Real) -> Result<Report, Failure> {
    let progress = Arc::new(Progress::new(0, options.work.tasks));
    let measured = Cluster::with(&options.common, &progress, async |cluster| {
        measure(options, cluster, &progress).await
    });
    let (before, after, times) = measured.await?;
    let mut report = Report::default();
    report.word("mode", "mode", "real");
    report.word("command", "command", &options.work.shape.command);
    report.work(&options.work);
    report.rate("running", "RUNNING", &progress, &progress.running);
    report.rate("finished", "finished", &progress, &progress.finished);
    report.latencies("accept_to_running", "ACCEPT to RUNNING", times.running);
    report.latencies("accept_to_finished", "ACCEPT to FINISHED", times.finished);
    report.memory("master_idle", "master before", &before.master);
    report.memory("agent_idle", "agent before", &before.agent);
    report.memory("master_after", "master after", &after.master);
    report.memory("agent_after", "agent after", &after.agent);
    report.cpu("master", "master", &before.master, &after.master);
    report.cpu("agent", "agent", &before.agent, &after.agent);
    report.cpu("load", "this process", &before.own, &after.own);
    Ok(report)
}

async fn measure(
    options: &Real,
    cluster: &mut Cluster,
    progress: &Arc<Progress>,
) -> Result<(Usages, Usages, Times), Failure> {
    let runtime = orrery_runtime_real::runtime();
    let work = &options.work;
    let master = cluster.start_master(&options.common, work.allocation_interval).await?;
    let resources = enough(&work.shape.resources, work.at_once);
    cluster.start_agent(&options.common, &master, &resources).await?;
    tokio::time::sleep(options.settle).await;
    let before = Usages::now(cluster)?;
    let schedulers = Schedulers::start(&runtime, &master, work, 1, progress);
    progress.finished.reached().await;
    let after = Usages::now(cluster)?;
    let times = schedulers.stop().await?;
    Ok((before, after, times))
}

/// What an agent needs for twice as many tasks as there are at once, so that those whose end is not
/// acknowledged yet hold nobody back.
fn enough(task: &Resources, at_once: u32) -> String {
    let amounts = task.iter().map(|entry| {
        let amount = task.scalar(entry.name()).as_f64() * 2.0 * f64::from(at_once);
        format!("{}:{amount:.3}", entry.name())
    });
    amounts.collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_twice_as_many_tasks_as_run_at_once() {
        let task = Resources::parse("cpus:0.1;mem:32", "*").expect("valid");
        let agent = Resources::parse(&enough(&task, 50), "*").expect("valid");
        assert_eq!(agent, Resources::parse("cpus:10;mem:3200", "*").expect("valid"));
    }
}
