//! One run: builds the cluster of a plan, plays the plan, and brings the cluster to rest.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use orrery_runtime::{Instant, ProcessId};
use orrery_runtime_sim::World;

use crate::checks::{Checks, Invariant, Violation};
use crate::cluster::Cluster;
use crate::converge;
use crate::frameworks::Seat;
use crate::healing::Core;
use crate::oracle::Oracle;
use crate::plan::{Action, Operation, Place, Plan, Shape};
use crate::planted::Bugs;

/// How long a cluster is watched of which anything can come: long enough for every retry. Nobody
/// can tell what a message or a disk said before, so nothing is promised then but that no daemon
/// breaks down.
const UNCHECKED_REST: Duration = Duration::from_secs(60);

/// What came of a run in which nothing was broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tasks launched.
    pub launched: usize,
    /// Of those, tasks that have started on some host.
    pub started: usize,
    /// Whether the cluster did not come to rest, and it was proved that it could not.
    pub excused: bool,
}

/// What the parts of a run share. Cheap to clone.
#[derive(Clone)]
pub struct Scene {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Cluster,
    seats: Vec<Seat>,
    /// What is healed when the faults stop.
    core: Core,
    over: AtomicBool,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Scene({:?})", self.inner.cluster)
    }
}

/// Builds a cluster and has `scenario` use it until it is over or a rule of `checks` is broken.
///
/// # Errors
/// The first rule that was broken.
pub async fn watched<T, Fut>(
    world: World,
    shape: &Shape,
    bugs: &Bugs,
    checks: Checks,
    scenario: impl FnOnce(Cluster) -> Fut,
) -> Result<T, Box<Violation>>
where
    Fut: Future<Output = T>,
{
    bugs.plant();
    let (oracle, mut violations) = Oracle::new(&world, checks, shape);
    let cluster = Cluster::start(&world, &oracle, shape);
    let value = tokio::select! {
        biased;
        Some(violation) = violations.recv() => return Err(Box::new(violation)),
        value = scenario(cluster) => value,
    };
    // The last thing that was checked may have been the one that was broken.
    match violations.try_recv() {
        Ok(violation) => Err(Box::new(violation)),
        Err(_) => Ok(value),
    }
}

/// Plays `plan`, mends everything, and brings the cluster to rest.
///
/// # Errors
/// The first rule that was broken.
pub async fn play(
    world: World,
    plan: Plan,
    bugs: Bugs,
    checks: Checks,
) -> Result<Summary, Box<Violation>> {
    let shape = plan.shape.clone();
    let is_beyond_repair = plan.is_beyond_repair();
    let checks = if is_beyond_repair { checks.limited_to(Invariant::Always) } else { checks };
    let run = async move |cluster: Cluster| {
        let oracle = cluster.oracle().clone();
        let scene = Scene::new(cluster, plan.loses_copies());
        scene.play(&plan).await;
        scene.mend();
        scene.core().break_outside(&scene);
        let excused = if is_beyond_repair {
            scene.world().sleep(UNCHECKED_REST).await;
            true
        } else {
            converge::converge(&scene).await.is_err()
        };
        oracle.check_runs();
        let (launched, started) = oracle.launched_and_started();
        Summary { launched, started, excused }
    };
    watched(world, &shape, &bugs, checks, run).await
}

impl Scene {
    /// `all_masters` are needed where some may have lost what they knew.
    fn new(cluster: Cluster, all_masters: bool) -> Self {
        let profiles = cluster.shape().frameworks.clone();
        let seat = |(number, profile)| {
            let host = cluster.host(Place::Scheduler(number))?;
            Some(Seat::new(&cluster, number, profile, host))
        };
        let seats: Vec<Seat> = profiles.into_iter().enumerate().filter_map(seat).collect();
        for seat in &seats {
            seat.start_process();
        }
        let core =
            cluster.world().random(|random| Core::draw(cluster.shape(), all_masters, random));
        let inner = Inner { cluster, seats, core, over: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    /// The frameworks.
    pub fn seats(&self) -> &[Seat] {
        &self.inner.seats
    }

    /// What is whole once the faults have stopped.
    pub fn core(&self) -> &Core {
        &self.inner.core
    }

    /// The frameworks that are whole then.
    pub(crate) fn core_seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats().iter().filter(|seat| self.core().has_framework(seat.number()))
    }

    pub(crate) fn seat(&self, number: usize) -> Option<&Seat> {
        self.inner.seats.get(number)
    }

    /// The world.
    pub fn world(&self) -> &World {
        self.inner.cluster.world()
    }

    /// The oracle.
    pub fn oracle(&self) -> &Oracle {
        self.inner.cluster.oracle()
    }

    /// From now on no fault mends by itself: everything is mended at once.
    pub(crate) fn stop_faults(&self) {
        self.inner.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn are_faults_over(&self) -> bool {
        self.inner.over.load(Ordering::Relaxed)
    }

    async fn play(&self, plan: &Plan) {
        for step in &plan.steps {
            let at = u64::try_from(step.at.as_nanos()).unwrap_or(u64::MAX);
            self.world().sleep_until(Instant::from_nanoseconds(at)).await;
            match &step.action {
                Action::Fail(fault, lasting) => self.fail(fault, *lasting),
                Action::Operate(number, operation) => self.operate(*number, operation),
            }
        }
        self.world().sleep(Duration::from_secs(1)).await;
    }

    fn operate(&self, number: usize, operation: &Operation) {
        let Some(seat) = self.seat(number) else { return };
        if let Operation::FailOver { overlap } = operation {
            return self.fail_over(seat, *overlap);
        }
        let operation = operation.clone();
        seat.act(move |workload, context| workload.operate(context, &operation));
    }

    /// A new process takes over while the old one may still live.
    fn fail_over(&self, seat: &Seat, overlap: Duration) {
        if seat.store().lock().framework_id.is_none() {
            return;
        }
        let old: Option<ProcessId> = seat.process();
        self.oracle().note("scenario", &format!("{seat:?} fails over"));
        seat.start_process();
        let (scene, seat) = (self.clone(), seat.clone());
        self.world().spawn(async move {
            scene.world().sleep(overlap).await;
            // After a crash of its host the number may be another process's.
            if let Some(old) = old.filter(|old| seat.process() != Some(*old)) {
                seat.host().kill(old);
            }
        });
    }
}
