//! A process that dies again and again, by a signal or with its host's power.

use std::time::Duration;

use orrery_runtime::{ProcessId, Runtime};
use orrery_runtime_sim::{Host, Latency, World};

/// Starts a process on a disk that takes its time and ends it within `life`; `deaths` times.
///
/// # Panics
/// When a process ends by itself.
pub async fn die<F, Fut>(world: &World, deaths: usize, life: Duration, main: F)
where
    F: Fn(Runtime) -> Fut,
    Fut: Future<Output = i32> + Send + 'static,
{
    let host = world.host("a");
    host.disk().set_latency(Some(Latency::from_micros(10, 2_000)));
    for _ in 0..deaths {
        let process = host.start("process", &main);
        let part = world.random(|random| random.below(life.as_micros() as u64));
        world.sleep(Duration::from_micros(part)).await;
        assert!(host.is_alive(process), "it ended by itself");
        end(world, &host, process);
    }
}

fn end(world: &World, host: &Host, process: ProcessId) {
    match world.random(|random| random.below(2)) {
        0 => assert!(host.kill(process)),
        _ => {
            host.crash();
            host.boot();
        }
    }
}
