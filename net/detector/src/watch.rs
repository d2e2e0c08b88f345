//! Watching a group of ZooKeeper for the leader.

use core::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_api::v1::MasterInfo;
use orrery_election::{self as election, Url};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use orrery_zookeeper::ZooKeeper;
use tokio::sync::oneshot;

/// Pause after an error that only a person can mend, such as a wrong password.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// What is known at present.
#[derive(Debug, Default)]
struct Known {
    leader: Option<Address>,
    /// A leader was found at some time.
    was_found: bool,
    /// Why none can be found, before the first one is.
    refusal: Option<String>,
    /// Told at the next change.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Known {
    /// Completes at the next change.
    fn wait(&mut self) -> oneshot::Receiver<()> {
        // One leader may stay for years, while connections to it come and go.
        self.waiting.retain(|waiter| !waiter.is_closed());
        let (sender, changed) = oneshot::channel();
        self.waiting.push(sender);
        changed
    }
}

/// The leader as ZooKeeper shows it.
#[derive(Debug)]
pub(crate) struct Watch {
    known: Arc<Mutex<Known>>,
    _task: AbortOnDrop,
}

impl Watch {
    pub(crate) fn start(runtime: &Runtime, url: Url, session_timeout: Duration) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let watching = watch(runtime.clone(), url, session_timeout, Arc::clone(&known));
        let task = runtime.spawn("master detector", watching).abort_on_drop();
        Self { known, _task: task }
    }

    /// Completes once there is a leader that `wanted` agrees to.
    pub(crate) async fn until(&self, wanted: impl Fn(&Address) -> bool) -> Address {
        let wanted = |known: &Known| known.leader.clone().filter(|leader| wanted(leader));
        self.find(wanted).await
    }

    /// Completes once it is known that no leader can be found, with the reason.
    pub(crate) async fn refused(&self) -> String {
        self.find(|known| known.refusal.clone()).await
    }

    async fn find<T>(&self, look: impl Fn(&Known) -> Option<T>) -> T {
        loop {
            let changed = {
                let mut known = lock(&self.known);
                if let Some(found) = look(&known) {
                    return found;
                }
                known.wait()
            };
            // An error would mean that the watcher was dropped with us.
            let _ = changed.await;
        }
    }
}

async fn watch(runtime: Runtime, url: Url, session_timeout: Duration, known: Arc<Mutex<Known>>) {
    let coordination: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let options = election::Options { session_timeout, ..election::Options::new(url) };
    loop {
        let mut detector = election::Detector::start(&runtime, &coordination, &options);
        let error = loop {
            match detector.next().await {
                Ok(leader) => {
                    let leader = leader.as_ref().map(address);
                    match &leader {
                        Some(leader) => tracing::info!(%leader, "a leading master is detected"),
                        None => tracing::info!("no leading master is detected"),
                    }
                    tell(&known, leader, None);
                }
                Err(error) => break error,
            }
        };
        tracing::error!(%error, zookeeper = %options.url, "the leading master cannot be found");
        tell(&known, None, Some(error.to_string()));
        runtime.sleep(TRY_AGAIN).await;
    }
}

fn tell(known: &Mutex<Known>, leader: Option<Address>, refusal: Option<String>) {
    let waiting = {
        let mut known = lock(known);
        known.was_found |= leader.is_some();
        known.leader = leader;
        known.refusal = refusal.filter(|_| !known.was_found);
        std::mem::take(&mut known.waiting)
    };
    for sender in waiting {
        // Whoever has stopped waiting need not be told.
        let _ = sender.send(());
    }
}

/// Where a master is reached: by its address rather than by its name, as Mesos' agents do. Masters
/// of older days tell only the number, which is in network order.
fn address(info: &MasterInfo) -> Address {
    let port = u16::try_from(info.port).unwrap_or_default();
    let told = info.address.as_ref().and_then(|address| address.ip.clone());
    let number = || (info.ip != 0).then(|| Ipv4Addr::from(info.ip.to_le_bytes()).to_string());
    let host = told.or_else(number).unwrap_or_else(|| info.hostname().to_owned());
    Address::new(host, port)
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    // Plain data, which a panic elsewhere cannot leave half changed.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use orrery_api::v1;

    use super::*;

    #[test]
    fn who_has_stopped_waiting_is_forgotten() {
        let mut known = Known::default();
        let waits = known.wait();
        (0..100).for_each(|_| drop(known.wait()));
        assert_eq!(known.waiting.len(), 2, "the first one, and the last one until the next comes");
        drop(waits);
    }

    #[test]
    fn a_master_is_reached_by_its_address_its_number_or_its_name() {
        let older = MasterInfo {
            ip: u32::from_le_bytes([10, 0, 0, 1]),
            port: 5050,
            hostname: Some("name".to_owned()),
            ..Default::default()
        };
        assert_eq!(address(&older), Address::new("10.0.0.1", 5050));
        let told = v1::Address { ip: Some("10.0.0.2".to_owned()), port: 5050, hostname: None };
        let newer = MasterInfo { address: Some(told), ..older.clone() };
        assert_eq!(address(&newer), Address::new("10.0.0.2", 5050));
        assert_eq!(address(&MasterInfo { ip: 0, ..older }), Address::new("name", 5050));
    }
}
