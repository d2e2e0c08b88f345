//! The one HTTP service of a master's port: whoever asks is answered by what the master is at the
//! moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use orrery_coverage::reachable;
use orrery_http::{Request, Response, Service, respond};
use orrery_net_lease::Member;
use orrery_net_log::LogService;
use orrery_runtime::{Address, BoxFuture, Instant, Runtime};
use tokio::sync::oneshot;

use crate::routes::ROUTER;
use crate::term::Term;
use crate::{Options, standby};

/// What a master is.
#[derive(Clone)]
pub(crate) enum Role {
    /// It leads.
    Leading(Arc<Term>),
    /// It is elected, and reads the registry.
    Recovering,
    /// Another one leads, or none does.
    Standby(Option<Address>),
}

/// The service.
pub(crate) struct Front {
    runtime: Runtime,
    options: Arc<Options>,
    role: Mutex<Role>,
    started: Instant,
    log: Option<LogService>,
    member: Option<Member>,
    /// Told when it leads for the first time.
    leads: Mutex<Option<oneshot::Sender<()>>>,
}

impl Front {
    pub(crate) fn new(
        runtime: Runtime,
        options: Arc<Options>,
        log: Option<LogService>,
        member: Option<Member>,
    ) -> (Arc<Self>, oneshot::Receiver<()>) {
        let role = Mutex::new(Role::Standby(None));
        let (leads, first_lead) = oneshot::channel();
        let leads = Mutex::new(Some(leads));
        let started = runtime.clock.now();
        (Arc::new(Self { runtime, options, role, started, log, member, leads }), first_lead)
    }

    pub(crate) fn role(&self) -> Role {
        lock(&self.role).clone()
    }

    pub(crate) fn set_role(&self, role: Role) {
        let leads = matches!(role, Role::Leading(_));
        let old = {
            let mut current = lock(&self.role);
            std::mem::replace(&mut *current, role)
        };
        // After the lock, because a term that ends closes much.
        drop(old);
        let first = if leads { lock(&self.leads).take() } else { None };
        if let Some(first) = first {
            // Not everybody who starts a master waits for that.
            let _ = first.send(());
        }
    }
}

impl Service for Front {
    fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        let path = request.uri().path();
        if let Some(log) = self.log.as_ref().filter(|_| LogService::handles(path)) {
            return log.call(request);
        }
        if let Some(member) = self.member.as_ref().filter(|_| Member::handles(path)) {
            return member.call(request);
        }
        match self.role() {
            Role::Leading(term) => term.call(request),
            Role::Recovering if is_api(path) => {
                reachable!("a call comes to a leader that still reads the registry");
                let text = "Master has not finished recovery";
                let response = respond::text(StatusCode::SERVICE_UNAVAILABLE, text);
                Box::pin(std::future::ready(response))
            }
            Role::Recovering => self.stand_by(None, request),
            Role::Standby(leader) => self.stand_by(leader, request),
        }
    }

    fn is_prompt(&self, path: &str) -> bool {
        // Votes and heartbeats as well: a leader whose answers are late is taken for dead.
        self.member.is_some() && Member::handles(path)
            || ROUTER.route(path).is_ok_and(|route| route.endpoint == "health")
    }
}

impl Front {
    fn stand_by(&self, leader: Option<Address>, request: Request) -> BoxFuture<'static, Response> {
        let (runtime, options) = (self.runtime.clone(), Arc::clone(&self.options));
        let started = self.started;
        Box::pin(async move {
            standby::answer(&runtime, &options, started, leader.as_ref(), request).await
        })
    }
}

/// What is under these locks is replaced as a whole, which a panic elsewhere cannot interrupt.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_api(path: &str) -> bool {
    let path = path.strip_prefix("/master").unwrap_or(path);
    path.starts_with("/api/v1")
}
