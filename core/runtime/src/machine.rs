//! State machines and the driver that all daemons share.
//!
//! A [`Machine`] decides; a [`Driver`] feeds it inputs, one at a time, and hands every output to a
//! function that carries it out. The machine never waits, so a step is a function of what was fed
//! in, which is what makes it replayable.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use orrery_coverage::sometimes;
use tokio::sync::mpsc;

use crate::{BoxFuture, Instant, Now, Runtime};

/// Steps after which a machine settles although further inputs are at hand.
pub const SETTLE_AFTER: usize = 128;

/// A machine without I/O: inputs in, outputs out.
pub trait Machine: Send + 'static {
    /// What can happen to it.
    type Input: Send + 'static;
    /// What it wants done.
    type Output: Send + 'static;

    /// Takes one input and appends what is to be done about it, in order.
    fn step(&mut self, now: Now, input: Self::Input, outputs: &mut Vec<Self::Output>);

    /// Does what need not be done for each input by itself: called when no further input is at
    /// hand, and after [`SETTLE_AFTER`] steps at the latest. Inputs that come together are so acted
    /// upon together.
    fn settle(&mut self, _now: Now, _outputs: &mut Vec<Self::Output>) {}

    /// When it wants to be woken by [`Machine::tick`], if at all.
    fn deadline(&self) -> Option<Instant>;

    /// The input that says that [`Machine::deadline`] has passed.
    fn tick() -> Self::Input;
}

type Inspection<M> = Box<dyn FnOnce(&M) + Send>;

enum Message<M: Machine> {
    Input(M::Input),
    Inspect(Inspection<M>),
}

/// Feeds a driven machine. Cheap to clone; the driver ends once the last one is dropped.
pub struct Feeder<M: Machine> {
    sender: mpsc::Sender<Message<M>>,
}

impl<M: Machine> Clone for Feeder<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<M: Machine> std::fmt::Debug for Feeder<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Feeder")
    }
}

/// The driver has ended; nothing more can be fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopped;

impl<M: Machine> Feeder<M> {
    /// Queues an input, waiting while the queue is full: this is what pushes back on a fast peer.
    ///
    /// # Errors
    /// [`Stopped`] when the driver has ended.
    pub async fn feed(&self, input: M::Input) -> Result<(), Stopped> {
        sometimes!(self.sender.capacity() == 0, "an input waits because a machine's queue is full");
        self.sender.send(Message::Input(input)).await.map_err(|_| Stopped)
    }

    /// Looks at the machine between two steps and returns what `look` made of it.
    ///
    /// # Errors
    /// [`Stopped`] when the driver has ended.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let inspection: Inspection<M> = Box::new(move |machine| {
            // Nobody listens when the request was given up meanwhile.
            let _ = sender.send(look(machine));
        });
        self.sender.send(Message::Inspect(inspection)).await.map_err(|_| Stopped)?;
        receiver.await.map_err(|_| Stopped)
    }
}

/// Looks at a machine after each of its steps, before what the step asked for is done. A simulation
/// checks there what must always hold; production has none. Cheap to clone.
pub struct Observer<M>(Arc<dyn Fn(&M) + Send + Sync>);

impl<M> Observer<M> {
    /// Calls `look` after each step. It must not wait.
    pub fn new(look: impl Fn(&M) + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl<M> Clone for Observer<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> std::fmt::Debug for Observer<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Observer")
    }
}

/// Runs a machine.
pub struct Driver<M: Machine> {
    machine: M,
    receiver: mpsc::Receiver<Message<M>>,
    observer: Option<Observer<M>>,
    /// The sleep until the machine's deadline.
    alarm: Option<(Instant, BoxFuture<'static, ()>)>,
}

impl<M: Machine> std::fmt::Debug for Driver<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Driver")
    }
}

impl<M: Machine> Driver<M> {
    /// A driver whose queue holds `capacity` inputs, and the first handle to feed it.
    pub fn new(machine: M, capacity: usize) -> (Self, Feeder<M>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { machine, receiver, observer: None, alarm: None }, Feeder { sender })
    }

    /// Has `observer`, if there is one, look at the machine as it begins and after every step.
    #[must_use]
    pub fn observed(self, observer: Option<Observer<M>>) -> Self {
        Self { observer, ..self }
    }

    /// Steps until the last [`Feeder`] is gone or `carry` breaks off. `carry` must not wait: what
    /// takes time is spawned or queued by it. Returns the machine as it then is.
    pub async fn run(
        mut self,
        runtime: Runtime,
        mut carry: impl FnMut(M::Output) -> std::ops::ControlFlow<()>,
    ) -> M {
        let (mut outputs, mut steps) = (Vec::new(), 0);
        self.show();
        loop {
            let message = match self.at_hand(&runtime, steps).await {
                None if steps > 0 => {
                    steps = 0;
                    self.machine.settle(runtime.now(), &mut outputs);
                    if outputs.drain(..).try_for_each(&mut carry).is_break() {
                        return self.machine;
                    }
                    continue;
                }
                None => self.next(&runtime).await,
                message => message,
            };
            steps += 1;
            let input = match message {
                Some(Message::Input(input)) => input,
                Some(Message::Inspect(inspection)) => {
                    inspection(&self.machine);
                    continue;
                }
                None => return self.machine,
            };
            self.machine.step(runtime.now(), input, &mut outputs);
            self.show();
            if outputs.drain(..).try_for_each(&mut carry).is_break() {
                return self.machine;
            }
        }
    }

    fn show(&self) {
        if let Some(Observer(look)) = &self.observer {
            look(&self.machine);
        }
    }

    /// What can be taken without waiting before the machine settles, after so many steps.
    async fn at_hand(&mut self, runtime: &Runtime, steps: usize) -> Option<Message<M>> {
        let is_due = |deadline| deadline <= runtime.clock.now();
        if steps == 0 || steps >= SETTLE_AFTER || self.machine.deadline().is_some_and(is_due) {
            return None;
        }
        poll_fn(|context| match self.receiver.poll_recv(context) {
            Poll::Ready(message) => Poll::Ready(message),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    async fn next(&mut self, runtime: &Runtime) -> Option<Message<M>> {
        let Some(deadline) = self.machine.deadline() else {
            self.alarm = None;
            return self.receiver.recv().await;
        };
        // A due deadline goes before queued inputs: a flood must not stop the clock.
        if deadline <= runtime.clock.now() {
            self.alarm = None;
            return Some(Message::Input(M::tick()));
        }
        // Most inputs change no deadline, and then the sleep under way goes on.
        let alarm = self.alarm.take().filter(|(at, _)| *at == deadline);
        let (_, sleep) = self
            .alarm
            .insert(alarm.unwrap_or_else(|| (deadline, runtime.clock.sleep_until(deadline))));
        tokio::select! {
            biased;
            message = self.receiver.recv() => message,
            () = sleep => {
                self.alarm = None;
                Some(Message::Input(M::tick()))
            }
        }
    }
}
