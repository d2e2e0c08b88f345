//! The frameworks of a measurement, each with a session of its own.

use std::sync::Arc;

use orrery_api::v1;
use orrery_net_scheduler::{Handle, Options, Outcome, Scheduler};
use orrery_runtime::{Address, Runtime};
use orrery_scheduler::Stop;
use tokio::task::JoinSet;

use crate::arguments::Work;
use crate::failure::Failure;
use crate::framework::{LoadFramework, Share, Times};
use crate::progress::Progress;

/// Running frameworks. Dropping them disconnects them.
pub struct Schedulers {
    handles: Vec<Handle<LoadFramework>>,
    sessions: JoinSet<Outcome<LoadFramework>>,
}

impl Schedulers {
    /// Starts `frameworks` of them, which divide the work.
    pub fn start(
        runtime: &Runtime,
        master: &Address,
        work: &Work,
        frameworks: u32,
        progress: &Arc<Progress>,
    ) -> Self {
        let mut this = Self { handles: Vec::new(), sessions: JoinSet::new() };
        for number in 0..frameworks {
            let share = Share {
                tasks: part(work.tasks, frameworks, number),
                at_once: part(work.at_once, frameworks, number),
                batch: work.batch,
            };
            let framework = LoadFramework::new(share, &work.shape, Arc::clone(progress));
            let info = v1::FrameworkInfo {
                user: "load".to_owned(),
                name: format!("load {number}"),
                checkpoint: Some(work.checkpoint),
                ..Default::default()
            };
            let options = Options::new(vec![master.clone()], info);
            let (scheduler, handle) = Scheduler::new(runtime.clone(), options, framework);
            this.handles.push(handle);
            this.sessions.spawn(scheduler.run());
        }
        this
    }

    /// Removes the frameworks from the cluster and returns what they have measured.
    ///
    /// # Errors
    /// One of them ended badly.
    pub async fn stop(mut self) -> Result<Times, Failure> {
        for handle in &self.handles {
            // One that ended before is found below.
            let _ = handle.stop(Stop::Teardown).await;
        }
        let mut times = Times::default();
        while let Some(outcome) = self.sessions.join_next().await {
            let outcome = outcome.map_err(|error| Failure::Cluster(error.to_string()))?;
            times.running.merge(&outcome.framework.times().running);
            times.finished.merge(&outcome.framework.times().finished);
        }
        Ok(times)
    }
}

/// What number `number` of `parts` gets of `whole`; all get equally much, up to one.
fn part(whole: u32, parts: u32, number: u32) -> u32 {
    whole / parts + u32::from(number < whole % parts)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_make_up_the_whole() {
        for (whole, parts) in [(10, 3), (9, 3), (3, 3), (1_000_001, 7)] {
            assert_eq!((0..parts).map(|number| part(whole, parts, number)).sum::<u32>(), whole);
        }
    }
}
