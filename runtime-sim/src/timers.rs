//! One queue of everything that is due at a point of virtual time, and the task that carries it
//! out.
//!
//! madsim's own sleeps round up to a millisecond, stay queued when dropped and add a timer at every
//! poll. Here each wait is one entry; a dropped one is skipped; and only the nearest deadline is
//! handed to madsim.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::arena::{Arena, Key};
use crate::network::NetworkEvent;
use crate::world::Inner;

/// What is due.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A [`Sleep`] ends.
    Wake(Key),
    /// Something reaches a host or is given up.
    Network(NetworkEvent),
}

/// The queue. Ties are broken by the order of scheduling.
#[derive(Debug)]
pub(crate) struct Timers {
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    sleepers: Arena<Waker>,
    /// The deadline that madsim was given last.
    armed: u64,
    driver: Option<Waker>,
    stopped: bool,
}

impl Timers {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            queue: BinaryHeap::new(),
            scheduled: 0,
            sleepers: Arena::default(),
            armed: u64::MAX,
            driver: None,
            stopped: false,
        }
    }

    /// Queues `event` for the virtual time `at`, in nanoseconds.
    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled, event)));
        if at < self.armed
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    /// Makes the driver end.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.queue.clear();
        self.sleepers = Arena::default();
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn pop(&mut self, now: u64) -> Option<Event> {
        match self.queue.peek() {
            Some(Reverse((at, ..))) if *at <= now => {
                self.queue.pop().map(|Reverse((_, _, event))| event)
            }
            _ => None,
        }
    }

    /// The deadline to hand to madsim, if the one it has is of no use any more.
    fn rearm(&mut self, now: u64, driver: &Waker) -> Option<u64> {
        self.driver = Some(driver.clone());
        let next = self.queue.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let current = if self.armed > now { self.armed } else { u64::MAX };
        self.armed = current.min(next);
        (next < current).then_some(next)
    }
}

/// The next event that is due. The queue is free again before the event is carried out.
fn next_due(world: &Inner, now: u64) -> Option<Event> {
    world.timers.lock().pop(now)
}

/// Carries out what is due, for as long as the simulation lasts.
pub(crate) async fn drive(world: Arc<Inner>) {
    let start = world.time.now_instant() - world.time.elapsed();
    std::future::poll_fn(|context| {
        // Virtual time stands still while a task is polled, and reading it is not free.
        let now = world.now();
        while let Some(event) = next_due(&world, now) {
            match event {
                Event::Wake(key) => {
                    let sleeper = world.timers.lock().sleepers.remove(key);
                    if let Some(waker) = sleeper {
                        waker.wake();
                    }
                }
                Event::Network(event) => world.network.lock().handle(&world, event),
            }
        }
        let mut timers = world.timers.lock();
        if timers.stopped {
            return Poll::Ready(());
        }
        let deadline = timers.rearm(now, context.waker());
        drop(timers);
        if let Some(deadline) = deadline {
            arm(&world, start + Duration::from_nanos(deadline), context);
        }
        Poll::Pending
    })
    .await;
}

/// Registers a wake-up of the current task with madsim. The sleep itself can go: its timer stays.
fn arm(world: &Inner, instant: std::time::Instant, context: &mut Context<'_>) {
    let mut sleep = pin!(world.time.sleep_until(instant));
    // `reset` takes the deadline as it is; `sleep_until` has rounded it up to a millisecond.
    sleep.as_mut().reset(instant);
    if sleep.poll(context).is_ready() {
        context.waker().wake_by_ref();
    }
}

/// Waits until a point of virtual time.
pub(crate) struct Sleep {
    world: Arc<Inner>,
    deadline: u64,
    key: Option<Key>,
}

impl Sleep {
    /// Completes once virtual time has reached `deadline`, in nanoseconds.
    pub(crate) fn until(world: Arc<Inner>, deadline: u64) -> Self {
        Self { world, deadline, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.world.now() >= this.deadline {
            return Poll::Ready(());
        }
        let mut timers = this.world.timers.lock();
        if let Some(waker) = this.key.and_then(|key| timers.sleepers.get_mut(key)) {
            waker.clone_from(context.waker());
        } else {
            let key = timers.sleepers.insert(context.waker().clone());
            timers.schedule(this.deadline, Event::Wake(key));
            this.key = Some(key);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let sleeper = self.world.timers.lock().sleepers.remove(key);
            drop(sleeper);
        }
    }
}
