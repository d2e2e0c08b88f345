//! The process of one server: it keeps time, applies what was committed, and answers clients.

use std::net::{Ipv4Addr, SocketAddr};

use orrery_runtime::{Connection as Stream, Instant, Runtime};
use tokio::sync::mpsc;

use super::connection::serve;
use super::{Ensemble, PORT};

/// Runs server `number` of an ensemble.
pub(super) async fn run(runtime: Runtime, ensemble: Ensemble, number: usize) -> i32 {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let Ok(mut listener) = runtime.network.listen(address).await else { return 1 };
    let news = ensemble.state().started(number, runtime.clock.now());
    runtime.spawn("zookeeper ticks", tick(runtime.clone(), ensemble.clone(), number));
    runtime.spawn("zookeeper history", apply(runtime.clone(), ensemble.clone(), number, news));
    loop {
        if let Ok(stream) = listener.accept().await {
            let talk = talk(runtime.clone(), ensemble.clone(), number, stream);
            runtime.spawn("zookeeper client", talk);
        }
    }
}

async fn talk(runtime: Runtime, ensemble: Ensemble, number: usize, stream: Stream) {
    let connection = ensemble.state().new_connection();
    // A client that breaks off, or talks nonsense, has its connection closed, which is all there is
    // to do about it.
    let _ = serve(&runtime, &ensemble, (number, connection), stream).await;
    if let Some(server) = ensemble.state().servers.get_mut(number) {
        server.connections.remove(&connection);
    }
}

async fn tick(runtime: Runtime, ensemble: Ensemble, number: usize) {
    let half = ensemble.state().tick / 2;
    loop {
        runtime.sleep(half).await;
        ensemble.state().half_tick(number, runtime.clock.now());
    }
}

async fn apply(
    runtime: Runtime,
    ensemble: Ensemble,
    number: usize,
    mut news: mpsc::UnboundedReceiver<(usize, Instant)>,
) {
    while let Some((length, since)) = news.recv().await {
        let delay = {
            let mut state = ensemble.state();
            let lag = state.servers.get(number).map(|server| server.lag).unwrap_or_default();
            state.latency() + lag
        };
        runtime.clock.sleep_until(since + delay).await;
        let mut state = ensemble.state();
        if state.may_apply(number) {
            state.apply(number, length);
        }
    }
}
