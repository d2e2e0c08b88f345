//! A framework that keeps a number of tasks in flight until it has run all of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_api::v1::{self, TaskState};
use orrery_model::{Resources, task_state};
use orrery_runtime::Instant;
use orrery_scheduler::{Context, Event, Framework};

use crate::latency::Latencies;
use crate::offers::HeldOffers;
use crate::progress::Progress;

/// What every task is like.
#[derive(Clone, Debug)]
pub struct TaskShape {
    /// What it takes; scalars only.
    pub resources: Resources,
    /// Its shell command.
    pub command: String,
    /// Size of its `data`, in bytes.
    pub data: usize,
}

/// How much a framework does.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Tasks in all.
    pub tasks: u32,
    /// Tasks in flight.
    pub at_once: u32,
    /// Tasks of one ACCEPT. With fewer to launch it waits, unless these are the last.
    pub batch: Batch,
}

/// How many tasks one ACCEPT launches.
#[derive(Clone, Copy, Debug)]
pub enum Batch {
    /// So many, or what fits.
    Exactly(u32),
    /// What there is to launch, and fits.
    All,
}

/// How long tasks took since ACCEPT was called, until their framework was told of the state.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// TASK_RUNNING.
    pub running: Latencies,
    /// TASK_FINISHED.
    pub finished: Latencies,
}

/// The framework.
pub struct LoadFramework {
    share: Share,
    template: v1::TaskInfo,
    progress: Arc<Progress>,
    offers: HeldOffers,
    /// When ACCEPT was called for each task, by number.
    accepted: Vec<Instant>,
    in_flight: u32,
    times: Times,
}

impl LoadFramework {
    /// A framework with nothing launched.
    pub fn new(share: Share, shape: &TaskShape, progress: Arc<Progress>) -> Self {
        Self {
            share,
            template: template(shape),
            progress,
            offers: HeldOffers::default(),
            accepted: Vec::new(),
            in_flight: 0,
            times: Times::default(),
        }
    }

    /// What it has measured.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// How many tasks are left to launch.
    fn left(&self) -> u32 {
        let launched = u32::try_from(self.accepted.len()).unwrap_or(u32::MAX);
        self.share.tasks.saturating_sub(launched)
    }

    fn take_offers(&mut self, context: &mut Context<'_>, offers: Vec<v1::Offer>) {
        let mut useless = Vec::new();
        for offer in offers {
            match room(&offer.resources, &self.template.resources) {
                0 => useless.push(offer.id),
                _ if self.left() == 0 => useless.push(offer.id),
                room => self.offers.add(offer, room),
            }
        }
        decline(context, &useless);
        self.launch(context);
    }

    /// Launches what may be launched on the offers that are held.
    fn launch(&mut self, context: &mut Context<'_>) {
        while self.left() > 0 {
            let Some(wanted) = self.wanted() else { return };
            let Some(bundle) = self.offers.take() else { return };
            let now = context.now().instant;
            let number = bundle.room.min(wanted);
            let tasks = (0..number).map(|_| self.next_task(&bundle.agent_id, now)).collect();
            context.launch(&bundle.offers, tasks, Some(no_refusal()));
        }
        // Others may need what this one holds.
        decline(context, &self.offers.drain());
        context.suppress(&[]);
    }

    /// How many tasks the next ACCEPT is to launch; `None` while there is nothing to launch or too
    /// little.
    fn wanted(&self) -> Option<u32> {
        let most = self.share.at_once.saturating_sub(self.in_flight).min(self.left());
        match self.share.batch {
            Batch::All => Some(most).filter(|most| *most > 0),
            Batch::Exactly(batch) => {
                let batch = batch.min(self.share.at_once).min(self.left());
                Some(batch).filter(|batch| *batch <= most)
            }
        }
    }

    fn next_task(&mut self, agent_id: &v1::AgentId, now: Instant) -> v1::TaskInfo {
        let id = self.accepted.len().to_string();
        self.accepted.push(now);
        self.in_flight += 1;
        self.progress.launched.count(now);
        v1::TaskInfo {
            name: format!("load {id}"),
            task_id: v1::TaskId { value: id },
            agent_id: agent_id.clone(),
            ..self.template.clone()
        }
    }

    fn update(&mut self, context: &mut Context<'_>, status: &v1::TaskStatus) {
        let number = status.task_id.value.parse::<usize>().ok();
        let accepted = number.and_then(|number| self.accepted.get(number));
        let (Some(accepted), Ok(state)) = (accepted, TaskState::try_from(status.state)) else {
            return;
        };
        let now = context.now().instant;
        let took: Duration = now.since(*accepted);
        match state {
            TaskState::TaskRunning => {
                self.times.running.add(took);
                self.progress.running.count(now);
            }
            TaskState::TaskFinished => {
                self.times.finished.add(took);
                self.in_flight -= 1;
                self.progress.finished.count(now);
                if self.left() > 0 {
                    self.launch(context);
                }
            }
            state if task_state::is_terminal(state) => self.progress.fail(format!(
                "task {} ended as {}, not as TASK_FINISHED: {}",
                status.task_id.value,
                state.as_str_name(),
                status.message(),
            )),
            _ => {}
        }
    }
}

impl Framework for LoadFramework {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Offers(offers) => self.take_offers(context, offers),
            Event::Rescind(id) => decline(context, &self.offers.rescind(&id)),
            Event::Update(status) => self.update(context, &status),
            Event::Error(text) => {
                self.progress.fail(format!("the master refuses the framework: {text}"));
            }
            Event::CallRefused { call, status, text } => {
                let call = call.as_str_name();
                self.progress.fail(format!("the master refuses {call} with {status}: {text}"));
            }
            Event::Disconnected { reason } => {
                self.progress.fail(format!("the framework lost its master: {reason}"));
            }
            _ => {}
        }
    }
}

/// What may be offered again at once.
fn no_refusal() -> v1::Filters {
    v1::Filters { refuse_seconds: Some(0.0) }
}

fn decline(context: &mut Context<'_>, offers: &[v1::OfferId]) {
    if !offers.is_empty() {
        context.decline(offers, None);
    }
}

fn template(shape: &TaskShape) -> v1::TaskInfo {
    let command = v1::CommandInfo {
        shell: Some(true),
        value: Some(shape.command.clone()),
        ..Default::default()
    };
    let data = (shape.data > 0).then(|| Bytes::from(vec![0; shape.data]));
    v1::TaskInfo {
        resources: shape.resources.to_messages(),
        command: Some(command),
        data,
        ..Default::default()
    }
}

/// How many tasks that need `needed` fit into `offered`.
fn room(offered: &[v1::Resource], needed: &[v1::Resource]) -> u32 {
    let amount = |resource: &v1::Resource| resource.scalar.as_ref().map_or(0.0, |it| it.value);
    let fits = needed.iter().map(|need| {
        let same = offered.iter().filter(|resource| resource.name == need.name);
        // Amounts are whole thousandths, so half of one is far from any rounding.
        (same.map(amount).sum::<f64>() + 0.0005) / amount(need)
    });
    // A float becomes the nearest integer that there is.
    fits.fold(f64::from(u32::MAX), f64::min) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<v1::Resource> {
        Resources::parse(text, "*").expect("valid").to_messages()
    }

    #[test]
    fn a_batch_is_waited_for_except_at_the_end() {
        let share = |batch| Share { tasks: 25, at_once: 20, batch };
        let framework = |batch, launched, in_flight| {
            let resources = Resources::parse("cpus:1", "*").expect("valid");
            let shape = TaskShape { resources, command: String::new(), data: 0 };
            let progress = Arc::new(Progress::new(0, 25));
            let mut framework = LoadFramework::new(share(batch), &shape, progress);
            framework.accepted.resize(launched, Instant::default());
            framework.in_flight = in_flight;
            framework.wanted()
        };
        assert_eq!(framework(Batch::Exactly(10), 0, 0), Some(10));
        assert_eq!(framework(Batch::Exactly(10), 12, 11), None);
        assert_eq!(framework(Batch::Exactly(10), 18, 10), Some(7));
        assert_eq!(framework(Batch::Exactly(50), 0, 0), Some(20));
        assert_eq!(framework(Batch::All, 12, 11), Some(9));
        assert_eq!(framework(Batch::All, 20, 20), None);
    }

    #[test]
    fn the_scarcest_resource_decides_how_many_tasks_fit() {
        let task = messages("cpus:0.1;mem:32");
        for (offered, expected) in [
            ("cpus:64;mem:262144;ports:[1-5]", 640),
            ("cpus:0.3;mem:96", 3),
            ("cpus:0.3;mem:95", 2),
            ("cpus:0.3", 0),
            ("disk:5", 0),
        ] {
            assert_eq!(room(&messages(offered), &task), expected, "{offered}");
        }
    }
}
