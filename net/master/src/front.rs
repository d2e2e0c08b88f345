//! The one HTTP service of a master's port: whoever asks is answered by what the master is at the
//! moment.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::StatusCode;
use orrery_coverage::reachable;
use orrery_http::{Request, Response, Service, respond};
use orrery_net_lease::Member;
use orrery_net_log::LogService;
use orrery_runtime::{BoxFuture, Instant, Runtime};
use tokio::sync::oneshot;

use crate::measures::Measures;
use crate::redirect::Kept;
use crate::role::{Role, Roles};
use crate::routes::ROUTER;
use crate::standby::Standing;
use crate::{Options, standby};

/// The service.
pub(crate) struct Front {
    runtime: Runtime,
    options: Arc<Options>,
    measures: Measures,
    roles: Arc<Roles>,
    started: Instant,
    /// Set once the log is open, if the registry is kept in one.
    log: OnceLock<LogService>,
    member: Option<Member>,
    /// Told when it leads for the first time.
    leads: Mutex<Option<oneshot::Sender<()>>>,
}

impl Front {
    pub(crate) fn new(
        runtime: Runtime,
        options: Arc<Options>,
        measures: Measures,
        member: Option<Member>,
    ) -> (Arc<Self>, oneshot::Receiver<()>) {
        let roles = Arc::new(Roles::new());
        let (leads, first_lead) = oneshot::channel();
        let leads = Mutex::new(Some(leads));
        let (started, log) = (runtime.clock.now(), OnceLock::new());
        (
            Arc::new(Self { runtime, options, measures, roles, started, log, member, leads }),
            first_lead,
        )
    }

    /// The log is open: the other replicas are answered from now on.
    pub(crate) fn add_log(&self, log: LogService) {
        // There is one at most.
        let _ = self.log.set(log);
    }

    pub(crate) fn role(&self) -> Role {
        self.roles.get()
    }

    pub(crate) fn set_role(&self, role: Role) {
        let leads = matches!(role, Role::Leading(_));
        self.roles.set(role);
        let first = if leads { self.first_lead() } else { None };
        if let Some(first) = first {
            // Not everybody who starts a master waits for that.
            let _ = first.send(());
        }
    }
}

impl Service for Front {
    fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        let path = request.uri().path();
        if let Some(log) = self.log.get().filter(|_| LogService::handles(path)) {
            return log.call(request);
        }
        if let Some(member) = self.member.as_ref().filter(|_| Member::handles(path)) {
            return member.call(request);
        }
        if let Some(kept) = Kept::of(&request) {
            return self.keep(kept, request);
        }
        match self.role() {
            Role::Leading(term) => term.call(request),
            Role::Recovering if is_api(path) => Box::pin(std::future::ready(standby::recovering())),
            Role::Recovering => self.stand_by(Standing::Recovering, request),
            Role::Standby(leader) => self.stand_by(Standing::Behind(leader), request),
        }
    }

    fn is_prompt(&self, path: &str) -> bool {
        // Votes and heartbeats as well: a leader whose answers are late is taken for dead.
        self.member.is_some() && Member::handles(path)
            || ROUTER.route(path).is_ok_and(|route| route.endpoint == "health")
    }
}

impl Front {
    fn first_lead(&self) -> Option<oneshot::Sender<()>> {
        // What is under this lock is taken as a whole, which a panic elsewhere cannot interrupt.
        self.leads.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers the question who leads once it is another one than is known.
    fn keep(&self, kept: Kept, request: Request) -> BoxFuture<'static, Response> {
        reachable!("a master keeps the question who leads");
        let (runtime, roles) = (self.runtime.clone(), Arc::clone(&self.roles));
        Box::pin(async move {
            let other = roles.until(|role| kept.is_answered_by(role));
            match runtime.timeout(kept.wait, other).await {
                Some(Role::Leading(term)) => term.call(request).await,
                Some(Role::Standby(leader)) => standby::redirect(leader.as_ref(), ""),
                Some(Role::Recovering) | None => respond::empty(StatusCode::NOT_MODIFIED),
            }
        })
    }

    fn stand_by(&self, standing: Standing, request: Request) -> BoxFuture<'static, Response> {
        let (runtime, options) = (self.runtime.clone(), Arc::clone(&self.options));
        let (started, measures) = (self.started, self.measures.clone());
        Box::pin(async move {
            standby::answer(&runtime, &options, &measures, started, &standing, request).await
        })
    }
}

fn is_api(path: &str) -> bool {
    let path = path.strip_prefix("/master").unwrap_or(path);
    path.starts_with("/api/v1")
}
