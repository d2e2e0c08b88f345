//! The daemons' logs of one run, with virtual time.

use orrery_runtime_sim::World;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

struct VirtualTime(World);

impl FormatTime for VirtualTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:>12.6}", self.0.now().as_nanoseconds() as f64 / 1e9)
    }
}

/// Prints what the daemons log, for as long as the guard lives and on this thread alone.
pub(super) fn start(world: &World) -> DefaultGuard {
    let subscriber = tracing_subscriber::fmt()
        .with_timer(VirtualTime(world.clone()))
        .with_ansi(false)
        .with_target(true)
        .with_max_level(tracing::Level::DEBUG)
        .with_test_writer()
        .finish();
    tracing::subscriber::set_default(subscriber)
}
