//! Replicas over real sockets and on real disks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use orrery_http::serve;
use orrery_log::{Log, Membership, Options, Timing};
use orrery_runtime::{Address, Runtime};

/// A replica that is one of `members`.
pub fn options(folder: &Path, own: &Address, members: &[Address]) -> Options {
    Options {
        folder: folder.to_owned(),
        address: own.clone(),
        quorum: members.len() / 2 + 1,
        membership: Membership::Fixed(members.iter().cloned().collect::<BTreeSet<_>>()),
        auto_initialize: true,
        timing: Timing::default(),
    }
}

/// Replicas that answer on ports of this host, each in its own folder.
pub async fn replicas(runtime: &Runtime, folder: &Path) -> (Vec<Address>, Vec<Log>) {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let any = ([127, 0, 0, 1], 0).into();
        listeners.push(runtime.network.listen(any).await.expect("a port"));
    }
    let addresses: Vec<Address> =
        listeners.iter().map(|listener| listener.local_address().into()).collect();
    let mut logs = Vec::new();
    for (listener, own) in listeners.into_iter().zip(&addresses) {
        let options = options(&folder.join(own.port.to_string()), own, &addresses);
        let (log, service) = orrery_net_log::start(runtime, options).await.expect("a replica");
        runtime.spawn("replica's port", serve(runtime.clone(), listener, Arc::new(service)));
        logs.push(log);
    }
    (addresses, logs)
}
