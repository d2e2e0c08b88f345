//! Roles (S22 of the catalogue): who takes part in a role is who subscribed to it or holds
//! something in it, and nobody is offered anything in a role that it suppressed. Mesos' bugs of the
//! kind: MESOS-9870, MESOS-8470, MESOS-7566, MESOS-6308, MESOS-10194.

use std::collections::BTreeMap;

use orrery_master::Master;

use super::Session;

/// What is known of suppression.
#[derive(Debug, Default)]
pub struct Roles {
    master: String,
    /// The first offer that no step has been checked for.
    next: u64,
    /// Sessions that have suppressed all roles and have not revived any.
    silent: BTreeMap<Session, Silence>,
}

/// Since when a session wants no offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// Since a time when it was not subscribed: its SUBSCRIBE may have been on its way.
    Unsure,
    /// Since its present subscription began, or later.
    During,
    /// Since before its present subscription began, which named all roles as suppressed.
    FromTheBeginning,
}

impl Roles {
    pub(crate) fn master_stepped(&mut self, master: &Master) -> Result<(), String> {
        master.allocator().check_clients()?;
        let id = &master.options().master_info.id;
        if self.master != *id {
            self.master.clone_from(id);
            self.next = 0;
        }
        for (number, offer) in master.offers().range(self.next..) {
            if master.allocator().is_suppressed(offer.framework, &offer.role) {
                let role = &offer.role;
                return Err(format!("offer {number} is made in role {role}, which is suppressed"));
            }
            self.next = number + 1;
        }
        Ok(())
    }

    /// A session wants no offers at all, or wants them again.
    pub(crate) fn suppressed(&mut self, session: Session, suppressed: bool, is_subscribed: bool) {
        if !suppressed {
            self.silent.remove(&session);
            return;
        }
        let silence = self.silent.entry(session).or_insert(Silence::Unsure);
        if is_subscribed && *silence == Silence::Unsure {
            *silence = Silence::During;
        }
    }

    /// A session is subscribed, once more.
    pub(crate) fn subscribed(&mut self, session: Session) {
        if let Some(silence) = self.silent.get_mut(&session) {
            *silence = match silence {
                Silence::Unsure => Silence::During,
                Silence::During | Silence::FromTheBeginning => Silence::FromTheBeginning,
            };
        }
    }

    /// An offer came.
    pub(crate) fn offered(&self, session: Session) -> Result<(), String> {
        if self.silent.get(&session) == Some(&Silence::FromTheBeginning) {
            return Err(format!(
                "{session:?} subscribed with all roles suppressed, and is offered"
            ));
        }
        Ok(())
    }
}
