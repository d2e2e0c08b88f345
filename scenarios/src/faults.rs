//! Carrying out faults, and mending them.

use std::future::Future;
use std::time::Duration;

use orrery_runtime_sim::{Host, Latency};

use crate::plan::{Fault, Place};
use crate::scenario::Scene;

impl Scene {
    /// Breaks something; what has a duration mends by itself after it.
    pub(crate) fn fail(&self, fault: &Fault) {
        self.oracle().note("fault", &fault.to_string());
        match fault {
            Fault::Kill(place, time) => self.kill(*place, *time),
            Fault::KillExecutor(agent) => self.kill_executor(*agent),
            Fault::Crash(place, time) => self.crash(*place, *time),
            Fault::Pause(place, time) => self.pause(*place, *time),
            Fault::Cut(a, b, time) => self.between(*a, *b, *time, |scene, a, b, on| {
                let network = scene.world().network();
                if on { network.cut(a, b) } else { network.heal(a, b) }
            }),
            Fault::CutOneWay(from, to, time) => {
                self.between(*from, *to, *time, |scene, a, b, on| {
                    let network = scene.world().network();
                    if on { network.cut_one_way(a, b) } else { network.heal_one_way(a, b) }
                })
            }
            Fault::Slow(a, b, milliseconds, time) => {
                let slow = Latency::from_millis(*milliseconds / 10, *milliseconds);
                self.between(*a, *b, *time, move |scene, a, b, on| {
                    let usual = scene.world().config().network.latency;
                    scene.world().network().set_latency(a, b, if on { slow } else { usual });
                });
            }
            Fault::Reset(a, b) => self.between(*a, *b, Duration::ZERO, |scene, a, b, on| {
                if on {
                    scene.world().network().reset_all(a, b);
                }
            }),
        }
    }

    /// Mends everything, and starts what is down.
    pub(crate) fn mend(&self) {
        self.oracle().note("scenario", "everything is mended");
        self.stop_faults();
        let network = self.world().network();
        network.heal_all();
        let usual = self.world().config().network.latency;
        let hosts = self.world().hosts();
        for (number, one) in hosts.iter().enumerate() {
            for other in &hosts[number + 1..] {
                network.set_latency(one, other, usual);
            }
        }
        for host in &hosts {
            host.boot();
            for process in host.processes().into_iter().filter(|process| process.stopped) {
                host.resume(process.id);
            }
        }
        self.cluster().start_missing();
        for seat in self.seats() {
            seat.end_replaced();
            seat.start_missing();
        }
    }

    fn later(&self, time: Duration, mend: impl FnOnce(&Self) + Send + 'static) {
        let scene = self.clone();
        self.spawn(async move {
            scene.world().sleep(time).await;
            if !scene.are_faults_over() {
                mend(&scene);
            }
        });
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.world().spawn(future);
    }

    fn kill(&self, place: Place, time: Duration) {
        match place {
            Place::Scheduler(number) => {
                if let Some(seat) = self.seat(number)
                    && let Some(process) = seat.process()
                {
                    seat.host().kill(process);
                }
            }
            Place::Master(_) | Place::Agent(_) => self.cluster().kill_daemon(place),
        }
        self.later(time, move |scene| scene.start(place));
    }

    fn start(&self, place: Place) {
        self.oracle().note("scenario", &format!("{place} is started"));
        match place {
            Place::Scheduler(number) => {
                self.seat(number).into_iter().for_each(|seat| seat.start_missing());
            }
            Place::Master(_) | Place::Agent(_) => self.cluster().start_daemon(place),
        }
    }

    fn kill_executor(&self, agent: usize) {
        let executors = self.cluster().executors(agent);
        let chosen = self.world().random(|random| random.below(executors.len().max(1) as u64));
        if let (Some(host), Some(process)) =
            (self.cluster().host(Place::Agent(agent)), executors.get(chosen as usize))
        {
            host.kill(*process);
        }
    }

    fn crash(&self, place: Place, time: Duration) {
        self.cluster().crash(place);
        if let Place::Scheduler(number) = place
            && let Some(seat) = self.seat(number)
        {
            seat.host_crashed();
        }
        self.later(time, move |scene| {
            scene.cluster().host(place).iter().for_each(Host::boot);
            scene.start(place);
        });
    }

    fn pause(&self, place: Place, time: Duration) {
        let process = match place {
            Place::Scheduler(number) => self.seat(number).and_then(|seat| seat.process()),
            Place::Master(_) | Place::Agent(_) => self.cluster().daemon(place),
        };
        let (Some(host), Some(process)) = (self.cluster().host(place), process) else { return };
        host.pause(process);
        self.later(time, move |_| {
            host.resume(process);
        });
    }

    /// Does something to two hosts, and undoes it after a while.
    fn between(
        &self,
        a: Place,
        b: Place,
        time: Duration,
        change: impl Fn(&Self, &Host, &Host, bool) + Send + 'static,
    ) {
        let (Some(a), Some(b)) = (self.cluster().host(a), self.cluster().host(b)) else { return };
        change(self, &a, &b, true);
        self.later(time, move |scene| change(scene, &a, &b, false));
    }
}
