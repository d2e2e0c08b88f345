//! Daemons with nothing to do.

use std::time::Duration;

use crate::arguments::Idle;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Report;
use crate::usage::Usage;

/// Mesos' default beat.
const ALLOCATION_INTERVAL: Duration = Duration::from_secs(1);

/// Starts a master and an agent, and looks at them after a while.
///
/// # Errors
/// One of them does not start, or ends.
pub async fn run(options: &Idle) -> Result<Report, Failure> {
    let progress = Progress::new(0, 0);
    let measured = Cluster::with(&options.common, &progress, async |cluster| {
        let master = cluster.start_master(&options.common, ALLOCATION_INTERVAL).await?;
        cluster.start_agent(&options.common, &master, "cpus:4;mem:8192").await?;
        tokio::time::sleep(options.after).await;
        let usage = |daemon: Option<&Daemon>| daemon.map_or(Ok(Usage::default()), Daemon::usage);
        Ok((usage(cluster.master())?, usage(cluster.agent())?))
    });
    let (master, agent) = measured.await?;
    let mut report = Report::default();
    report.word("mode", "mode", "idle");
    report.setting("after", "after", options.after);
    report.memory("master", "master", &master);
    report.memory("agent", "agent", &agent);
    report.time("master_cpu", "master, CPU since its start", master.cpu);
    report.time("agent_cpu", "agent, CPU since its start", agent.cpu);
    Ok(report)
}
