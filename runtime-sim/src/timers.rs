//! One queue of everything that is due at a point of virtual time, and the task that carries it
//! out.
//!
//! madsim's own sleeps round up to a millisecond, stay queued when dropped and add a timer at every
//! poll. Here each wait is one entry; a dropped one is skipped; and only the nearest deadline is
//! handed to madsim.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use madsim::time::TimeHandle;

use crate::arena::{Arena, Key};
use crate::network::NetworkEvent;
use crate::world::Inner;

/// What is due.
#[derive(Debug)]
pub(crate) enum Event {
    /// A [`Sleep`] ends.
    Wake(Key),
    /// Something reaches a host or is given up.
    Network(NetworkEvent),
}

/// An event in the queue.
#[derive(Debug)]
struct Entry {
    /// The virtual time above and the number of the event below, so that ties are broken by the
    /// order of scheduling and the queue compares single numbers.
    rank: u128,
    event: Event,
}

impl Entry {
    fn new(at: u64, number: u64, event: Event) -> Self {
        Self { rank: (u128::from(at) << 64) | u128::from(number), event }
    }

    fn at(&self) -> u64 {
        (self.rank >> 64) as u64
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap gives out its greatest, which is to be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank.cmp(&self.rank)
    }
}

/// The queue.
pub(crate) struct Timers {
    queue: BinaryHeap<Entry>,
    scheduled: u64,
    sleepers: Arena<Waker>,
    /// The deadlines that madsim was given and that are still to come, the nearest one last.
    armed: Vec<u64>,
    /// Whom madsim wakes then; `None` while it is at work.
    driver: Option<Waker>,
    time: TimeHandle,
    start: std::time::Instant,
    stopped: bool,
}

impl Timers {
    /// An empty queue for a run that begins now.
    pub(crate) fn new(time: TimeHandle) -> Self {
        Self {
            queue: BinaryHeap::new(),
            scheduled: 0,
            sleepers: Arena::default(),
            armed: Vec::new(),
            driver: None,
            start: time.now_instant() - time.elapsed(),
            time,
            stopped: false,
        }
    }

    /// Queues `event` for the virtual time `at`, in nanoseconds.
    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Entry::new(at, self.scheduled, event));
        if let Some(driver) = self.driver.take() {
            self.arm(at, &driver);
            self.driver = Some(driver);
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
        let due = self.queue.peek().is_some_and(|entry| entry.at() <= now);
        if due { self.queue.pop().map(|entry| entry.event) } else { None }
    }

    /// Sees to it that the driver is woken when the next event is due. What nobody waits for any
    /// more is no reason to.
    fn rest(&mut self, now: u64, driver: &Waker) {
        while self.armed.last().is_some_and(|at| *at <= now) {
            self.armed.pop();
        }
        while let Some(Entry { event: Event::Wake(key), .. }) = self.queue.peek()
            && self.sleepers.get(*key).is_none()
        {
            self.queue.pop();
        }
        if let Some(at) = self.queue.peek().map(Entry::at) {
            self.arm(at, driver);
        }
        self.driver = Some(driver.clone());
    }

    /// Has madsim wake the driver at the virtual time `at`, unless it does so earlier.
    fn arm(&mut self, at: u64, driver: &Waker) {
        if at == u64::MAX || self.armed.last().is_some_and(|nearest| *nearest <= at) {
            return;
        }
        self.armed.push(at);
        let instant = self.start + Duration::from_nanos(at);
        let mut sleep = pin!(self.time.sleep_until(instant));
        // `reset` takes the deadline as it is; `sleep_until` has rounded it up to a millisecond.
        sleep.as_mut().reset(instant);
        // The sleep itself can go: its timer stays.
        if sleep.poll(&mut Context::from_waker(driver)).is_ready() {
            driver.wake_by_ref();
        }
    }
}

/// The next event that is due. The queue is free again before the event is carried out.
fn next_due(world: &Inner, now: u64) -> Option<Event> {
    world.timers.lock().pop(now)
}

/// Carries out what is due, for as long as the simulation lasts.
pub(crate) async fn drive(world: Arc<Inner>) {
    std::future::poll_fn(|context| {
        // Virtual time stands still while a task is polled, and reading it is not free.
        let now = world.now();
        drop(world.timers.lock().driver.take());
        while let Some(event) = next_due(&world, now) {
            match event {
                Event::Wake(key) => {
                    let sleeper = world.timers.lock().sleepers.remove(key);
                    if let Some(waker) = sleeper {
                        world.count_step();
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
        timers.rest(now, context.waker());
        Poll::Pending
    })
    .await;
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
