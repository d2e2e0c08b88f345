//! What a master is at the moment, and waiting until it is something else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orrery_runtime::Address;
use tokio::sync::oneshot;

use crate::term::Term;

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

/// The role of a master.
pub(crate) struct Roles(Mutex<State>);

struct State {
    role: Role,
    /// Told of the next change. What is not waited for any more is taken out at once: a role may
    /// last for years.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// Waits for the next change of the role.
struct Change<'a> {
    roles: &'a Roles,
    number: u64,
    told: oneshot::Receiver<()>,
}

impl Roles {
    /// A master that does not know yet who leads.
    pub(crate) fn new() -> Self {
        let role = Role::Standby(None);
        Self(Mutex::new(State { role, waiting: BTreeMap::new(), next: 0 }))
    }

    pub(crate) fn get(&self) -> Role {
        self.lock().role.clone()
    }

    pub(crate) fn set(&self, role: Role) {
        let (old, waiting) = {
            let mut state = self.lock();
            let old = std::mem::replace(&mut state.role, role);
            (old, std::mem::take(&mut state.waiting))
        };
        // After the lock, because a term that ends closes much.
        drop(old);
        for waiter in waiting.into_values() {
            // Who has gone meanwhile need not be told.
            let _ = waiter.send(());
        }
    }

    /// Completes with the role as soon as it is one that is `wanted`.
    pub(crate) async fn until(&self, wanted: impl Fn(&Role) -> bool) -> Role {
        loop {
            let mut change = {
                let mut state = self.lock();
                if wanted(&state.role) {
                    return state.role.clone();
                }
                let (waiter, told) = oneshot::channel();
                let number = state.next;
                state.next += 1;
                state.waiting.insert(number, waiter);
                Change { roles: self, number, told }
            };
            // It cannot fail: the other half is kept until it is told.
            let _ = (&mut change.told).await;
        }
    }

    /// What is under this lock is replaced as a whole, which a panic elsewhere cannot interrupt.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.roles.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn standby(host: &str) -> Role {
        Role::Standby(Some(Address::new(host, 5050)))
    }

    fn is_led_by(role: &Role, host: &str) -> bool {
        matches!(role, Role::Standby(Some(leader)) if *leader == Address::new(host, 5050))
    }

    #[test]
    fn a_role_is_waited_for_until_it_comes() {
        let roles = Roles::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(roles.until(|role| is_led_by(role, "b")));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        roles.set(standby("a"));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        roles.set(standby("b"));
        let Poll::Ready(role) = waiting.as_mut().poll(&mut context) else { panic!("not told") };
        assert!(is_led_by(&role, "b"));
    }

    #[test]
    fn who_does_not_wait_any_more_is_forgotten() {
        let roles = Roles::new();
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut waiting = pin!(roles.until(|role| is_led_by(role, "b")));
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert_eq!(roles.lock().waiting.len(), 1);
        }
        assert_eq!(roles.lock().waiting.len(), 0);
    }
}
