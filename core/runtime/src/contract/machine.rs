//! Promises of [`crate::machine::Driver`], which must hold on every runtime.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::finish;
use crate::machine::{Driver, Machine, Observer, SETTLE_AFTER, Stopped};
use crate::{Instant, Now, Runtime};

/// Checks the driver on `runtime`.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime) {
    steps_follow_the_order_of_inputs(runtime).await;
    due_deadlines_go_before_queued_inputs(runtime).await;
    deadlines_wake_an_idle_machine(runtime).await;
    breaking_off_stops_at_once(runtime).await;
    inspections_see_all_earlier_inputs(runtime).await;
    observers_see_each_step_before_its_outputs_are_carried(runtime).await;
    inputs_at_hand_are_settled_together(runtime).await;
}

/// Writes down what it is fed.
#[derive(Debug, Default)]
struct Recorder {
    log: Vec<Input>,
    last: Instant,
    deadline: Option<Instant>,
    /// How much was written down at each settling.
    settled: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Number(u32),
    Tick,
}

impl Machine for Recorder {
    type Input = Input;
    type Output = Input;

    /// Each number comes out twice.
    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Input>) {
        assert!(now.instant >= self.last, "time went back between two steps");
        self.last = now.instant;
        if input == Input::Tick {
            let deadline = self.deadline.take().expect("a tick without a deadline");
            assert!(now.instant >= deadline, "a tick before its deadline");
        }
        self.log.push(input);
        outputs.extend([input, input]);
    }

    fn settle(&mut self, _now: Now, _outputs: &mut Vec<Input>) {
        self.settled.push(self.log.len());
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn tick() -> Input {
        Input::Tick
    }
}

fn numbers(count: u32) -> impl Iterator<Item = Input> {
    (0..count).map(Input::Number)
}

async fn steps_follow_the_order_of_inputs(runtime: &Runtime) {
    // A queue shorter than the inputs: feeding has to wait in between.
    let (driver, feeder) = Driver::new(Recorder::default(), 3);
    let mut carried = Vec::new();
    let feed = async {
        for input in numbers(50) {
            feeder.feed(input).await.expect("the driver runs");
        }
        drop(feeder);
    };
    let run = driver.run(runtime.clone(), |output| {
        carried.push(output);
        ControlFlow::Continue(())
    });
    let both = async { tokio::join!(biased; feed, run) };
    let ((), machine) = finish(runtime, "a driver without feeders", both).await;
    assert_eq!(machine.log, numbers(50).collect::<Vec<_>>());
    assert_eq!(carried, numbers(50).flat_map(|input| [input, input]).collect::<Vec<_>>());
}

async fn due_deadlines_go_before_queued_inputs(runtime: &Runtime) {
    let deadline = Some(runtime.clock.now());
    let (driver, feeder) = Driver::new(Recorder { deadline, ..Recorder::default() }, 8);
    for input in numbers(2) {
        feeder.feed(input).await.expect("there is room");
    }
    drop(feeder);
    let run = driver.run(runtime.clone(), |_| ControlFlow::Continue(()));
    let machine = finish(runtime, "a driver", run).await;
    assert_eq!(machine.log, [Input::Tick, Input::Number(0), Input::Number(1)]);
}

async fn deadlines_wake_an_idle_machine(runtime: &Runtime) {
    let deadline = Some(runtime.clock.now() + Duration::from_millis(3));
    let (driver, feeder) = Driver::new(Recorder { deadline, ..Recorder::default() }, 8);
    let run = driver.run(runtime.clone(), |_| ControlFlow::Break(()));
    let machine = finish(runtime, "a deadline", run).await;
    assert_eq!(machine.log, [Input::Tick]);
    drop(feeder);
}

async fn breaking_off_stops_at_once(runtime: &Runtime) {
    let (driver, feeder) = Driver::new(Recorder::default(), 8);
    for input in numbers(5) {
        feeder.feed(input).await.expect("there is room");
    }
    let mut carried = 0;
    let run = driver.run(runtime.clone(), |_| {
        carried += 1;
        if carried == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let machine = finish(runtime, "a driver that breaks off", run).await;
    assert_eq!(carried, 3);
    assert_eq!(machine.log, numbers(2).collect::<Vec<_>>());
    assert_eq!(feeder.feed(Input::Number(9)).await, Err(Stopped));
    assert_eq!(feeder.inspect(|machine| machine.log.len()).await, Err(Stopped));
}

async fn inspections_see_all_earlier_inputs(runtime: &Runtime) {
    let (driver, feeder) = Driver::new(Recorder::default(), 8);
    let look = async {
        for (count, input) in (1..).zip(numbers(10)) {
            feeder.feed(input).await.expect("the driver runs");
            assert_eq!(feeder.inspect(|machine| machine.log.len()).await, Ok(count));
        }
        drop(feeder);
    };
    let run = driver.run(runtime.clone(), |_| ControlFlow::Continue(()));
    let both = async { tokio::join!(biased; look, run) };
    finish(runtime, "inspections", both).await;
}

async fn observers_see_each_step_before_its_outputs_are_carried(runtime: &Runtime) {
    let (driver, feeder) = Driver::new(Recorder::default(), 8);
    let looks = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&looks);
    let observer = Observer::new(move |machine: &Recorder| {
        let steps = seen.fetch_add(1, Ordering::Relaxed);
        assert_eq!(machine.log.len(), steps, "the beginning or a step was not observed");
    });
    for input in numbers(5) {
        feeder.feed(input).await.expect("the driver runs");
    }
    drop(feeder);
    let mut carried = 0;
    let run = driver.observed(Some(observer)).run(runtime.clone(), |_| {
        carried += 1;
        let observed = looks.load(Ordering::Relaxed) - 1;
        assert!(carried <= 2 * observed, "an output was carried before its step was observed");
        ControlFlow::Continue(())
    });
    finish(runtime, "observed steps", run).await;
    assert_eq!(looks.load(Ordering::Relaxed), 1 + 5);
}

async fn inputs_at_hand_are_settled_together(runtime: &Runtime) {
    for count in [5, SETTLE_AFTER + 5] {
        let (driver, feeder) = Driver::new(Recorder::default(), count);
        for input in numbers(count as u32) {
            feeder.feed(input).await.expect("there is room");
        }
        drop(feeder);
        let run = driver.run(runtime.clone(), |_| ControlFlow::Continue(()));
        let settled = finish(runtime, "settling", run).await.settled;
        // Once more where the runtime wants its turn in between.
        assert!(settled.len() <= count / SETTLE_AFTER + 2, "{settled:?}");
        assert!(settled.first().is_some_and(|first| *first <= SETTLE_AFTER), "{settled:?}");
        assert_eq!(settled.last(), Some(&count));
    }
}
