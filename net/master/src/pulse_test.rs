#![allow(clippy::disallowed_methods, reason = "the clock is paused, and only passes as it is told")]

use std::time::Duration;

use orrery_api::v1;
use orrery_master::{Master, Options, Registry};
use orrery_runtime::Runtime;
use orrery_runtime::machine::Driver;

use super::{FRESH, LONGEST_WAIT, Pulse};

fn driver(runtime: &Runtime) -> (Driver<Master>, Pulse) {
    let options = Options::new(v1::MasterInfo::default());
    let generator = runtime.random.generator();
    let master = Master::new(options, Registry::default(), generator, runtime.now());
    let (driver, feeder) = Driver::new(master, 1);
    (driver, Pulse::new(runtime.clone(), feeder))
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_answers_is_alive_however_seldom_it_is_asked() {
    let runtime = orrery_runtime_real::runtime();
    let (driver, pulse) = driver(&runtime);
    let carry = |_| std::ops::ControlFlow::Continue(());
    let driving = driver.run(runtime.clone(), carry);
    let _driving = runtime.spawn("master", async move { drop(driving.await) }).abort_on_drop();
    for _ in 0..3 {
        assert_eq!(pulse.check(), Ok(()));
        tokio::time::sleep(10 * LONGEST_WAIT).await;
    }
    for _ in 0..100 {
        assert_eq!(pulse.check(), Ok(()), "however often as well");
        tokio::time::sleep(FRESH / 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_stuck_is_found_out_and_forgiven() {
    let runtime = orrery_runtime_real::runtime();
    let (driver, pulse) = driver(&runtime);
    assert_eq!(pulse.check(), Ok(()), "nothing is known yet");
    tokio::time::sleep(LONGEST_WAIT).await;
    assert_eq!(pulse.check(), Ok(()), "it has still time");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pulse.check(), Err(LONGEST_WAIT + Duration::from_secs(1)));

    let carry = |_| std::ops::ControlFlow::Continue(());
    let driving = driver.run(runtime.clone(), carry);
    let driving = runtime.spawn("master", async move { drop(driving.await) }).abort_on_drop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pulse.check(), Ok(()), "it goes on");

    tokio::time::sleep(FRESH / 2).await;
    drop(driving);
    assert_eq!(pulse.check(), Ok(()), "it was alive a moment ago");
    tokio::time::sleep(FRESH).await;
    assert_eq!(pulse.check(), Ok(()), "it is asked and has still time");
    tokio::time::sleep(2 * LONGEST_WAIT).await;
    assert_eq!(pulse.check(), Err(2 * LONGEST_WAIT), "a sign of life does not count for ever");
}
