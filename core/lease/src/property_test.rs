//! Members on a network that delays, loses and doubles messages, with clocks of different speed,
//! restarts and cuts: never two leaders at once, and always one again once the trouble is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now, WallTime};
use proptest::prelude::*;

use crate::{Durable, Elector, Input, Options, Output, Request, RequestId, Response};

const MILLISECOND: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Packet {
    Ask { message: Request, sent: Instant },
    Answer { asked: Request, sent: Instant, message: Response },
    Stored { life: u64, durable: Durable },
}

struct Member {
    elector: Option<Elector>,
    durable: Durable,
    /// What its disk is to keep next.
    wanted: Option<Durable>,
    /// Whether its disk is at work.
    storing: bool,
    /// Until when its disk takes nothing.
    full_until: u64,
    /// Which process this is; what was under way to an earlier one is lost.
    life: u64,
    /// Its clock's speed in thousandths of the true one.
    speed: u64,
    asked: BTreeMap<RequestId, (usize, Request, Instant, u64)>,
}

struct World {
    random: Generator,
    now: u64,
    next: u64,
    packets: BTreeMap<(u64, u64), (usize, usize, Packet)>,
    members: Vec<Member>,
    cut: BTreeSet<(usize, usize)>,
    calm: bool,
    elected: BTreeMap<u64, usize>,
    changes: usize,
}

impl World {
    fn new(seed: u64, members: usize) -> Self {
        let mut random = Generator::from_number(seed);
        let member = |random: &mut Generator| Member {
            elector: None,
            durable: Durable::default(),
            wanted: None,
            storing: false,
            full_until: 0,
            life: 0,
            speed: 950 + random.below(101),
            asked: BTreeMap::new(),
        };
        let all = (0..members).map(|_| member(&mut random)).collect();
        let mut world = Self {
            random,
            now: 0,
            next: 0,
            packets: BTreeMap::new(),
            members: all,
            cut: BTreeSet::new(),
            calm: false,
            elected: BTreeMap::new(),
            changes: 0,
        };
        (0..members).for_each(|member| world.start(member));
        world
    }

    fn clock(&self, member: usize) -> Now {
        // Far from zero, so that the speeds' differences add up.
        let true_time = self.now + 1_000_000 * MILLISECOND;
        let instant = Instant::from_nanoseconds(true_time / 1000 * self.members[member].speed);
        Now { instant, wall: WallTime::default() }
    }

    fn start(&mut self, number: usize) {
        let options = Options::new(number, self.members.len());
        let generator = Generator::from_number(self.random.next_u64());
        let now = self.clock(number);
        let member = &mut self.members[number];
        member.life += 1;
        member.elector = Some(Elector::new(options, member.durable, generator, now));
    }

    fn stop(&mut self, number: usize) {
        let member = &mut self.members[number];
        member.elector = None;
        (member.wanted, member.storing) = (None, false);
        member.asked.clear();
    }

    fn post(&mut self, from: usize, to: usize, packet: Packet) {
        let lost = self.cut.contains(&(from, to)) || (!self.calm && self.random.below(20) == 0);
        if lost {
            return;
        }
        let copies = if !self.calm && self.random.below(20) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let slow = !self.calm && self.random.below(10) == 0;
            let delay = if slow { self.random.below(600) } else { self.random.below(5) };
            self.schedule(delay * MILLISECOND, from, to, packet.clone());
        }
    }

    fn schedule(&mut self, delay: u64, from: usize, to: usize, packet: Packet) {
        self.next += 1;
        self.packets.insert((self.now + delay, self.next), (from, to, packet));
    }

    fn step(&mut self, number: usize, input: Input) {
        let now = self.clock(number);
        let Some(mut elector) = self.members[number].elector.take() else { return };
        let mut outputs = Vec::new();
        elector.step(now, input, &mut outputs);
        self.members[number].elector = Some(elector);
        for output in outputs {
            self.carry(number, output);
        }
        let leaders: Vec<usize> = (0..self.members.len())
            .filter(|member| self.members[*member].elector.as_ref().is_some_and(Elector::leads))
            .collect();
        assert!(
            leaders.len() <= 1,
            "two leaders at once: {leaders:?} at {} ms",
            self.now / MILLISECOND
        );
    }

    fn carry(&mut self, number: usize, output: Output) {
        match output {
            Output::Send { to, message, sent } => {
                self.post(number, to, Packet::Ask { message, sent })
            }
            Output::Reply { request, message } => {
                let answered = self.members[number].asked.remove(&request);
                if let Some((to, asked, sent, life)) = answered
                    && self.members[to].life == life
                {
                    self.post(number, to, Packet::Answer { asked, sent, message });
                }
            }
            Output::Store(durable) => {
                self.members[number].wanted = Some(durable);
                self.store(number);
            }
            Output::Elected { term } => {
                self.changes += 1;
                let other = self.elected.insert(term, number);
                assert!(other.is_none_or(|other| other == number), "term {term} has two leaders");
            }
            Output::Deposed | Output::Leader(_) => {}
        }
    }

    fn deliver(&mut self, from: usize, to: usize, packet: Packet) {
        let input = match packet {
            Packet::Ask { message, sent } => {
                self.next += 1;
                let request = RequestId(self.next);
                let life = self.members[from].life;
                self.members[to].asked.insert(request, (from, message, sent, life));
                Input::Request { request, from, message }
            }
            Packet::Answer { asked, sent, message } => {
                Input::Response { from, asked, sent, message }
            }
            Packet::Stored { life, durable } => {
                let member = &mut self.members[to];
                if member.life != life {
                    return;
                }
                (member.durable, member.storing) = (durable, false);
                self.store(to);
                Input::Stored(durable)
            }
        };
        self.step(to, input);
    }

    /// Lets a disk that is idle begin with what it is to keep.
    fn store(&mut self, number: usize) {
        let delay = self.random.below(8) * MILLISECOND;
        let member = &mut self.members[number];
        if member.storing {
            return;
        }
        if let Some(durable) = member.wanted.take() {
            member.storing = true;
            let (life, delay) =
                (member.life, delay.max(member.full_until.saturating_sub(self.now)));
            self.schedule(delay, number, number, Packet::Stored { life, durable });
        }
    }

    /// The true time of a member's deadline.
    fn due(&self, number: usize) -> Option<u64> {
        let member = &self.members[number];
        let deadline = member.elector.as_ref()?.deadline()?.as_nanoseconds();
        let true_time = deadline.saturating_add(member.speed - 1) / member.speed * 1000;
        Some(true_time.saturating_sub(1_000_000 * MILLISECOND).max(self.now + 1000))
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + u64::try_from(time.as_nanos()).unwrap();
        loop {
            let packet = self.packets.keys().next().map(|(at, _)| *at);
            let timer = (0..self.members.len()).filter_map(|one| Some((self.due(one)?, one))).min();
            let next = packet.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            match timer {
                Some((at, number)) if at == next => self.step(number, Input::Tick),
                _ => {
                    let ((_, _), (from, to, packet)) = self.packets.pop_first().unwrap();
                    self.deliver(from, to, packet);
                }
            }
        }
        self.now = end;
    }

    fn trouble(&mut self) {
        let all = self.members.len() as u64;
        let one = self.random.below(all) as usize;
        let other = self.random.below(all) as usize;
        match self.random.below(7) {
            6 => self.members[one].full_until = self.now + self.random.below(3_000) * MILLISECOND,
            0 => self.stop(one),
            1 | 2 if self.members[one].elector.is_none() => self.start(one),
            1 => {
                self.stop(one);
                self.start(one);
            }
            2 => self.step(one, Input::Resign),
            3 => {
                self.cut.insert((one, other));
            }
            4 => {
                for member in 0..self.members.len() {
                    self.cut.insert((one, member));
                    self.cut.insert((member, one));
                }
            }
            _ => self.cut.clear(),
        }
    }

    fn heal(&mut self) {
        self.calm = true;
        self.cut.clear();
        for number in 0..self.members.len() {
            if self.members[number].elector.is_none() {
                self.start(number);
            }
        }
    }
}

fn run(seed: u64, members: usize) -> World {
    let mut world = World::new(seed, members);
    for _ in 0..40 {
        let pause = world.random.below(900);
        world.run_for(Duration::from_millis(pause));
        world.trouble();
    }
    world.heal();
    world.run_for(Duration::from_secs(4));
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn one_leads_at_a_time_and_one_always_leads_in_the_end(seed: u64, members in 1_usize..6) {
        let world = run(seed, members);
        let leaders = world.members.iter().filter(|one| one.elector.as_ref().unwrap().leads());
        prop_assert_eq!(leaders.count(), 1);
    }
}

#[test]
fn a_dead_leader_is_replaced_within_a_second() {
    for seed in 0..50 {
        let mut world = World::new(seed, 3);
        world.calm = true;
        world.run_for(Duration::from_secs(3));
        let leads = |one: &Member| one.elector.as_ref().is_some_and(Elector::leads);
        let leader = world.members.iter().position(leads).unwrap();
        world.stop(leader);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.members.iter().filter(|one| leads(one)).count(), 1, "seed {seed}");
    }
}

/// However long nobody could vote, what was not stored in time is not made up for.
#[test]
fn a_leader_comes_soon_after_disks_that_were_full() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        world.calm = true;
        world.run_for(Duration::from_secs(3));
        let leads = |one: &Member| one.elector.as_ref().is_some_and(Elector::leads);
        let leader = world.members.iter().position(leads).unwrap();
        let full_until = world.now + 600_000 * MILLISECOND;
        world.members.iter_mut().for_each(|one| one.full_until = full_until);
        world.stop(leader);
        world.run_for(Duration::from_secs(600));
        assert!(!world.members.iter().any(leads), "seed {seed}");
        let term = |one: &Member| one.elector.as_ref().map_or(0, Elector::term);
        assert!(world.members.iter().map(term).max().unwrap() < 10, "seed {seed}");
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.members.iter().filter(|one| leads(one)).count(), 1, "seed {seed}");
    }
}

#[test]
fn a_leader_that_resigns_is_replaced_at_once() {
    let mut world = World::new(7, 3);
    world.calm = true;
    world.run_for(Duration::from_secs(3));
    let leads = |one: &Member| one.elector.as_ref().is_some_and(Elector::leads);
    let leader = world.members.iter().position(leads).unwrap();
    world.step(leader, Input::Resign);
    world.run_for(Duration::from_millis(200));
    let next = world.members.iter().position(leads).unwrap();
    assert_ne!(next, leader);
}

#[test]
fn an_undisturbed_leader_stays() {
    let mut world = World::new(11, 5);
    world.calm = true;
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.changes, 1);
}

#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use crate::PlantedBug::{
        LeaseFromAnswer, VoteIsNotDurable, VotesAfterRestart, VotesDespiteLeader,
    };
    std::panic::set_hook(Box::new(|_| {}));
    for bug in [VoteIsNotDurable, VotesDespiteLeader, LeaseFromAnswer, VotesAfterRestart] {
        orrery_planted::plant([*bug.bug()]);
        let found =
            (0..3_000).find(|seed| std::panic::catch_unwind(|| drop(run(*seed, 3))).is_err());
        println!("{bug:?}: seed {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}
