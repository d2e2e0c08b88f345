//! SUBSCRIBE: how a scheduler comes, comes back, or takes over from another.

use orrery_allocator::{FrameworkKey, FrameworkOptions};
use orrery_api::v1::framework_info::capability::Type as Capability;
use orrery_api::v1::{self, scheduler};
use orrery_coverage::{reachable, sometimes};
use orrery_model::validate;

use crate::state::Framework;
use crate::timers::Timer;
use crate::{ConnectionId, Master, Output, PlantedBug};

impl Master {
    pub(crate) fn subscribe(
        &mut self,
        connection: ConnectionId,
        stream_id: String,
        subscribe: scheduler::call::Subscribe,
    ) {
        self.metrics.count("messages_register_framework");
        let mut info = subscribe.framework_info;
        // An empty id is how some clients say that they have none.
        if info.id.as_ref().is_some_and(|id| id.value.is_empty()) {
            reachable!("a framework subscribes with an empty id");
            info.id = None;
        }
        let suppressed = subscribe.suppressed_roles;
        if let Err(message) = self.check_subscription(&info, &suppressed) {
            reachable!("a subscription is refused");
            tracing::info!(name = %info.name, %message, "subscription refused");
            self.refuse_subscription(connection, message);
            return;
        }
        let known = info.id.as_ref().and_then(|id| self.framework_by_id(&id.value));
        let key = match known {
            Some(key) => {
                self.take_over(key, connection, stream_id, info, &suppressed);
                key
            }
            None => self.add_framework(connection, stream_id, info, &suppressed),
        };
        self.greet(key, connection);
        self.tell_agents_of_framework(key);
    }

    fn check_subscription(
        &self,
        info: &v1::FrameworkInfo,
        suppressed: &[String],
    ) -> Result<(), String> {
        validate::framework_info(info).map_err(|invalid| invalid.to_string())?;
        validate::suppressed_roles(info, suppressed).map_err(|invalid| invalid.to_string())?;
        let Some(id) = &info.id else { return Ok(()) };
        if self.is_completed(&id.value) {
            reachable!("a framework that was removed subscribes again");
            return Err("Framework has been removed".to_owned());
        }
        let Some(known) = self.framework_by_id(&id.value) else { return Ok(()) };
        let known = &self.frameworks[&known].info;
        if known.principal != info.principal {
            reachable!("a framework comes back with another principal");
            return Err(format!(
                "Changing framework's principal from {:?} to {:?} is not allowed",
                known.principal.as_deref().unwrap_or("<NONE>"),
                info.principal.as_deref().unwrap_or("<NONE>"),
            ));
        }
        Ok(())
    }

    fn refuse_subscription(&mut self, connection: ConnectionId, message: String) {
        self.emit_event(connection, error_event(message));
        self.emit(Output::CloseConnection { connection });
    }

    fn add_framework(
        &mut self,
        connection: ConnectionId,
        stream_id: String,
        mut info: v1::FrameworkInfo,
        suppressed: &[String],
    ) -> FrameworkKey {
        sometimes!(info.id.is_some(), "a framework comes back to a master that does not know it");
        if info.id.is_none() {
            let value = format!("{}-{:04}", self.options.master_info.id, self.next_framework);
            self.next_framework += 1;
            info.id = Some(v1::FrameworkId { value });
        }
        let key = FrameworkKey(self.next_key());
        let framework = Framework::new(info, self.now.wall);
        self.framework_keys.insert(framework.id().to_owned(), key);
        let options = allocator_options(&framework.info, suppressed);
        self.allocator.add_framework(key, framework.id(), options, true);
        tracing::info!(
            framework_id = framework.id(), name = %framework.info.name, "framework subscribed"
        );
        let id = framework.id().to_owned();
        self.frameworks.insert(key, framework);
        self.claim_tasks(key, &id);
        self.attach(key, connection, stream_id);
        key
    }

    /// A scheduler subscribes under an id that is in use: it came back, or another one takes over.
    fn take_over(
        &mut self,
        key: FrameworkKey,
        connection: ConnectionId,
        stream_id: String,
        info: v1::FrameworkInfo,
        suppressed: &[String],
    ) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        if let Some(old) = framework.connection {
            reachable!("a second scheduler takes over from one that is still connected");
            self.connections.remove(&old);
            self.emit_event(old, error_event("Framework failed over".to_owned()));
            self.emit(Output::CloseConnection { connection: old });
        }
        if !PlantedBug::FailoverKeepsOffers.is_planted() {
            self.discard_framework_offers(key);
        }
        self.update_framework_info(key, info, suppressed);
        let now = self.now.wall;
        if let Some(framework) = self.frameworks.get_mut(&key) {
            if framework.recovered {
                reachable!("a framework comes back to a master that knows it through agents");
                framework.recovered = false;
                framework.registered = now;
            }
            framework.reregistered = Some(now);
            tracing::info!(framework_id = framework.id(), "framework subscribed again");
        }
        self.attach(key, connection, stream_id);
        self.allocator.activate_framework(key);
    }

    /// Takes over what may change in a framework's description. User and checkpointing may not,
    /// and keep their old value without a word (as Mesos does). Says whether anything has changed.
    pub(crate) fn update_framework_info(
        &mut self,
        key: FrameworkKey,
        mut info: v1::FrameworkInfo,
        suppressed: &[String],
    ) -> bool {
        let Some(framework) = self.frameworks.get_mut(&key) else { return false };
        info.id = framework.info.id.clone();
        info.user.clone_from(&framework.info.user);
        info.checkpoint = framework.info.checkpoint;
        let changed = framework.info != info;
        framework.info = info;
        let options = allocator_options(&framework.info, suppressed);
        self.allocator.update_framework(key, options);
        if changed {
            reachable!("a framework changes its description");
            self.rescind_offers_in_left_roles(key);
        }
        changed
    }

    fn attach(&mut self, key: FrameworkKey, connection: ConnectionId, stream_id: String) {
        if let Some(framework) = self.frameworks.get_mut(&key) {
            framework.connection = Some(connection);
            framework.stream_id = stream_id;
        }
        self.connections.insert(connection, key);
    }

    fn greet(&mut self, key: FrameworkKey, connection: ConnectionId) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        let subscribed = scheduler::event::Subscribed {
            framework_id: framework.info.id.clone().unwrap_or_default(),
            heartbeat_interval_seconds: Some(self.options.heartbeat_interval.as_secs_f64()),
            master_info: Some(self.options.master_info.clone()),
        };
        self.emit_event(
            connection,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Subscribed as i32),
                subscribed: Some(subscribed),
                ..Default::default()
            },
        );
        self.heartbeat(key, connection);
    }

    pub(crate) fn heartbeat(&mut self, key: FrameworkKey, connection: ConnectionId) {
        let current = self.frameworks.get(&key).and_then(|framework| framework.connection);
        if current != Some(connection) {
            return;
        }
        if PlantedBug::NoHeartbeats.is_planted() {
            return;
        }
        self.emit_event(
            connection,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Heartbeat as i32),
                ..Default::default()
            },
        );
        self.set_timer(self.options.heartbeat_interval, Timer::Heartbeat(key, connection));
    }

    /// Sends an event on a stream, whoever it belongs to.
    pub(crate) fn emit_event(&mut self, connection: ConnectionId, event: scheduler::Event) {
        self.emit(Output::Event { connection, event: Box::new(event) });
    }

    /// Sends an event to a framework; drops it when the framework is disconnected.
    pub(crate) fn tell(&mut self, key: FrameworkKey, event: scheduler::Event) {
        let connection = self.frameworks.get(&key).and_then(|framework| framework.connection);
        if let Some(connection) = connection {
            self.emit_event(connection, event);
        } else {
            reachable!("an event is dropped because its framework is away");
        }
    }
}

fn error_event(message: String) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(scheduler::event::Type::Error as i32),
        error: Some(scheduler::event::Error { message }),
        ..Default::default()
    }
}

fn has(info: &v1::FrameworkInfo, capability: Capability) -> bool {
    info.capabilities.iter().any(|one| one.r#type == Some(capability as i32))
}

/// The roles that a framework asks for.
pub(crate) fn subscribed_roles(info: &v1::FrameworkInfo) -> Vec<String> {
    if has(info, Capability::MultiRole) {
        info.roles.clone()
    } else {
        vec![info.role.clone().unwrap_or_else(|| "*".to_owned())]
    }
}

/// What the allocator needs to know about a framework.
pub(crate) fn allocator_options(
    info: &v1::FrameworkInfo,
    suppressed: &[String],
) -> FrameworkOptions {
    let suppressed = if PlantedBug::SubscribesUnsuppressed.is_planted() { &[] } else { suppressed };
    FrameworkOptions {
        roles: subscribed_roles(info),
        suppressed: suppressed.to_vec(),
        revocable: has(info, Capability::RevocableResources),
        gpu: has(info, Capability::GpuResources),
        shared: has(info, Capability::SharedResources),
        reservation_refinement: has(info, Capability::ReservationRefinement),
        minimum_allocatable: info
            .offer_filters
            .iter()
            .filter_map(|(role, filters)| {
                Some((
                    role.clone(),
                    minimum_allocatable(filters.min_allocatable_resources.as_ref()?),
                ))
            })
            .collect(),
    }
}

/// The sets of amounts of which an offer must hold at least one.
fn minimum_allocatable(
    minimum: &v1::offer_filters::MinAllocatableResources,
) -> Vec<orrery_model::Quantities> {
    let amounts = |set: &v1::offer_filters::ResourceQuantities| {
        let amounts = set.quantities.iter();
        let amounts = amounts.filter_map(|(name, amount)| {
            Some((name.as_str(), orrery_model::Scalar::from_f64(amount.value)?))
        });
        amounts.collect()
    };
    minimum.quantities.iter().map(amounts).collect()
}
