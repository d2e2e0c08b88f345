//! Finding out, before an agent starts, what an earlier run of it has left: on the disk, and among
//! the processes of its host.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_agent::{
    Life, Policy, Reconfiguration, Recovered, RecoveredExecutor, RecoveryError, SANDBOX_VARIABLE,
    agent_directory, agent_meta,
};
use orrery_api::v1;
use orrery_coverage::{reachable, sometimes};
use orrery_journal::{DiskError, JournalError};
use orrery_runtime::{Adoption, Marked, ProcessId, Runtime, Signal, Target};

use crate::Options;
use crate::planted::PlantedBug;
use crate::remedy;
use crate::store::{Earlier, Store};

/// How often to look whether what was killed is gone, and the pause between two looks.
const LOOKS: usize = 500;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Why an agent cannot go on where an earlier run has ended.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk does not let the agent read what an earlier run has left, or go on writing it.
    #[error("{}. {}", .0, remedy::of_disk(&.0.source))]
    Disk(DiskError),
    /// The process table cannot be read.
    #[error("cannot see what an earlier run has left running: {0}")]
    Processes(io::Error),
    /// The journal is damaged; never [`JournalError::Disk`].
    #[error("{source}. {}", advice(.latest))]
    Journal {
        /// What names the earlier run.
        latest: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// A checkpoint cannot be used.
    #[error("{source}. {}", advice(.latest))]
    Checkpoint {
        /// What names the earlier run.
        latest: PathBuf,
        /// What is wrong.
        source: RecoveryError,
    },
    /// The agent's settings differ from those of the earlier run, more than is allowed.
    #[error(
        "incompatible agent info: {change}. Undo the change{}. {}",
        if *.additive { ", or allow it by --reconfiguration_policy=additive" } else { "" },
        new_agent(.latest)
    )]
    Incompatible {
        /// What names the earlier run.
        latest: PathBuf,
        /// What is not allowed.
        change: Reconfiguration,
        /// Whether something is only added, which the other policy allows.
        additive: bool,
    },
}

fn advice(latest: &Path) -> String {
    format!("With --no-strict what is damaged is left out. {}", new_agent(latest))
}

fn new_agent(latest: &Path) -> String {
    format!(
        "To start as a new agent instead, whose tasks of before are ended: rm -f {}",
        latest.display()
    )
}

/// What was found.
pub(crate) struct Past {
    pub(crate) recovered: Recovered,
    pub(crate) store: Store,
}

/// Reads the checkpoint, takes over the executors that live, and ends whatever else is left.
/// `info` is the agent as it is set up now.
pub(crate) async fn recover(
    runtime: &Runtime,
    options: &Options,
    info: &v1::AgentInfo,
) -> Result<Past, RecoverError> {
    let work_dir = &options.work_dir;
    let mut store = Store::new(runtime, work_dir).await;
    let mut recovered = read_checkpoint(&mut store, options, info).await?;
    let sorted = sort_processes(runtime, work_dir, &mut recovered).await;
    sorted.map_err(RecoverError::Processes)?;
    Ok(Past { recovered, store })
}

async fn read_checkpoint(
    store: &mut Store,
    options: &Options,
    info: &v1::AgentInfo,
) -> Result<Recovered, RecoverError> {
    let latest = agent_meta(&options.work_dir, "latest");
    let Some(earlier) = store.earlier().await.map_err(RecoverError::Disk)? else {
        return Ok(Recovered::default());
    };
    let Earlier { agent_id, info: previous } = earlier;
    let previous = match previous {
        Ok(previous) => previous,
        Err(source) if options.strict => return Err(RecoverError::Checkpoint { latest, source }),
        Err(error) => {
            reachable!("an agent's own checkpoint is damaged");
            tracing::error!(agent_id, %error, "starting anew");
            return Ok(Recovered::nothing(1));
        }
    };
    let rebooted = store.is_rebooted(&agent_id).await.map_err(RecoverError::Disk)?;
    let check = || options.reconfiguration_policy.check(&previous, info);
    // Cleaning up is what one may do before the settings change.
    if let Some(change) = check().err().filter(|_| !options.cleans_up) {
        if !rebooted {
            let additive = Policy::Additive.check(&previous, info).is_ok();
            return Err(RecoverError::Incompatible { latest, change, additive });
        }
        reachable!("a rebooted agent starts anew because its settings have changed");
        tracing::warn!(agent_id, %change, "starting anew after a reboot");
        return Ok(Recovered::default());
    }
    let tolerant = !options.strict;
    let journal = store.open(&agent_id, tolerant).await.map_err(|error| match error {
        JournalError::Disk(error) => RecoverError::Disk(error),
        source => RecoverError::Journal { latest: latest.clone(), source },
    })?;
    let (contents, damages) = (journal.take_contents(), journal.damages());
    let mut recovered = Recovered::read(agent_id, &contents, tolerant)
        .map_err(|source| RecoverError::Checkpoint { latest, source })?;
    recovered.errors += damages;
    recovered.rebooted = rebooted;
    Ok(recovered)
}

/// Finds out what is left of each executor, and ends all that belongs to none of them.
async fn sort_processes(
    runtime: &Runtime,
    work_dir: &Path,
    recovered: &mut Recovered,
) -> io::Result<()> {
    let marked = marked(runtime, work_dir).await?;
    let mut living = BTreeSet::new();
    let (agent_id, rebooted) = (recovered.agent_id.clone(), recovered.rebooted);
    for executor in recovered.executors_mut() {
        let directory = executor.directory(work_dir, &agent_id);
        let directory = directory.to_string_lossy();
        executor.life = match rebooted {
            true => Life::Ended,
            false => life(runtime, executor, &directory, &marked).await,
        };
        if let Life::Lives(_) = executor.life {
            living.insert(directory.into_owned());
        }
    }
    end_orphans(runtime, work_dir, marked, &living).await
}

/// The processes whose sandboxes lie in our folder.
async fn marked(runtime: &Runtime, work_dir: &Path) -> io::Result<Vec<Marked>> {
    let ours = agent_directory(work_dir, "");
    let mut marked = runtime.processes.marked(SANDBOX_VARIABLE).await?;
    marked.retain(|process| Path::new(&process.value).starts_with(&ours));
    Ok(marked)
}

async fn life(
    runtime: &Runtime,
    executor: &RecoveredExecutor,
    directory: &str,
    marked: &[Marked],
) -> Life {
    let of_run = marked.iter().filter(|process| process.value == directory);
    let (leader, started) = match executor.forked {
        Some((process, Some(started))) => (process, Some(started)),
        // Without knowing when it came to be, its mark must tell it from a stranger.
        Some((process, None)) => {
            if !of_run.clone().any(|one| one.session == process) {
                return Life::Ended;
            }
            (process, None)
        }
        None => match of_run.clone().next() {
            Some(process) => {
                reachable!("an agent ends between a process' start and its checkpoint");
                (process.session, None)
            }
            None => return Life::NeverStarted,
        },
    };
    let container_id = &executor.container.container_id;
    match runtime.processes.adopt(leader, started).await {
        Ok(Adoption::Lives) => Life::Lives(leader),
        Ok(Adoption::Ended) => {
            // What has lost its mark is found by its session.
            let killed = end_session(runtime, leader);
            sometimes!(killed, "an executor that died without its agent has left something");
            Life::Ended
        }
        Err(error) => {
            tracing::info!(container_id, process = %leader, %error, "an executor is gone");
            Life::Ended
        }
    }
}

/// Kills a session; whether anybody was left of it.
fn end_session(runtime: &Runtime, leader: ProcessId) -> bool {
    if PlantedBug::OrphansStay.is_planted() {
        return false;
    }
    match runtime.processes.signal(Target::Session(leader), Signal::Kill) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(session = %leader, %error, "cannot kill what an earlier run has left");
            false
        }
    }
}

/// Kills what is left of runs that have ended, and waits until it is gone: of none of these will
/// anybody tell the end later.
async fn end_orphans(
    runtime: &Runtime,
    work_dir: &Path,
    mut found: Vec<Marked>,
    living: &BTreeSet<String>,
) -> io::Result<()> {
    if PlantedBug::OrphansStay.is_planted() {
        return Ok(());
    }
    for _ in 0..LOOKS {
        found.retain(|process| !living.contains(&process.value));
        if found.is_empty() {
            return Ok(());
        }
        reachable!("an earlier run of the agent has left orphans");
        for session in found.iter().map(|process| process.session).collect::<BTreeSet<_>>() {
            tracing::info!(%session, "killing what an earlier run has left");
            // It may be ours already, or gone by now.
            let _ = runtime.processes.adopt(session, None).await;
            end_session(runtime, session);
        }
        runtime.sleep(LOOK_PAUSE).await;
        found = marked(runtime, work_dir).await?;
    }
    tracing::warn!(processes = found.len(), "some of what an earlier run has left lives on");
    Ok(())
}
