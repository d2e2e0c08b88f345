//! Who gets what, and when.

use std::time::Duration;

use orrery_allocator::{AgentKey, Allocator, FrameworkKey, FrameworkOptions, Grant, Options};
use orrery_model::Resources;
use orrery_runtime::{Generator, Instant};

fn at(milliseconds: u64) -> Instant {
    Instant::from_nanoseconds(milliseconds * 1_000_000)
}

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn roles(roles: &[&str]) -> FrameworkOptions {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    FrameworkOptions { roles, ..Default::default() }
}

fn allocator() -> Allocator {
    Allocator::new(Options::default(), Generator::from_number(1))
}

const A1: AgentKey = AgentKey(1);
const F1: FrameworkKey = FrameworkKey(1);
const F2: FrameworkKey = FrameworkKey(2);

/// Runs and describes the grants as `framework agent role resources`.
fn run(allocator: &mut Allocator, now: Instant) -> Vec<String> {
    let grants = allocator.run(now);
    allocator.check_conservation().unwrap();
    grants.iter().map(describe).collect()
}

fn describe(grant: &Grant) -> String {
    let resources = grant.resources.unallocated();
    assert_eq!(grant.resources.allocation_role(), Some(grant.role.as_str()));
    format!("f{} a{} {} {resources}", grant.framework.0, grant.agent.0, grant.role)
}

#[test]
fn the_rest_of_an_offer_goes_to_the_next_framework() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    assert_eq!(run(&mut allocator, at(10)), ["f1 a1 * cpus:4; mem:4096"]);
    allocator.add_framework(F2, "fw-2", roles(&["*"]), true);
    assert!(run(&mut allocator, at(20)).is_empty());
    // Tasks of <2 CPU, 1 GB> and <1 CPU, 2 GB> are launched; the rest comes back.
    let rest = parse("cpus:1;mem:1024").allocated_to("*");
    allocator.recover(F1, A1, &rest, Some(Duration::from_secs(5)), at(30));
    assert_eq!(allocator.deadline(), Some(at(1000)));
    assert!(run(&mut allocator, at(999)).is_empty());
    assert_eq!(run(&mut allocator, at(1000)), ["f2 a1 * cpus:1; mem:1024"]);
    assert_eq!(allocator.allocated(F1, A1).unallocated(), parse("cpus:3;mem:3072"));
    assert_eq!(allocator.deadline(), None);
}

#[test]
fn equal_frameworks_take_alternate_agents() {
    let mut allocator = allocator();
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    allocator.add_framework(F2, "fw-2", roles(&["*"]), true);
    for number in 0..10 {
        allocator.add_agent(AgentKey(number), "S", parse("cpus:4;mem:4096"), &[]);
    }
    let frameworks: Vec<u32> = allocator.run(at(0)).iter().map(|grant| grant.framework.0).collect();
    assert_eq!(frameworks, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn frameworks_that_decline_take_turns() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    allocator.add_framework(F2, "fw-2", roles(&["*"]), true);
    assert_eq!(decline(&mut allocator, 0, 6), [1, 2, 1, 2, 1, 2]);
}

/// Lets everything be declined for `rounds` seconds from `second` on, and says who was offered it.
fn decline(allocator: &mut Allocator, second: u64, rounds: u64) -> Vec<u32> {
    let declined = |second: u64| {
        let grants = allocator.run(at(second * 1000));
        let [grant] = &grants[..] else { panic!("one grant is expected, not {grants:?}") };
        let now = at(second * 1000 + 500);
        allocator.recover(grant.framework, A1, &grant.resources, None, now);
        grant.framework.0
    };
    (second..second + rounds).map(declined).collect()
}

#[test]
fn a_newcomer_that_declines_does_not_starve_those_who_declined_before() {
    for newcomers_role in ["*", "other"] {
        let mut allocator = allocator();
        allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
        allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
        assert_eq!(decline(&mut allocator, 0, 50), [1; 50]);
        allocator.add_framework(F2, "fw-2", roles(&[newcomers_role]), true);
        assert_eq!(decline(&mut allocator, 50, 6).iter().filter(|it| **it == 1).count(), 3);
        // Nor does one that only slept.
        allocator.suppress(F2, &[]);
        assert_eq!(decline(&mut allocator, 60, 50), [1; 50]);
        allocator.revive(F2, &[]);
        assert_eq!(decline(&mut allocator, 110, 6).iter().filter(|it| **it == 1).count(), 3);
    }
}

#[test]
fn shares_are_dominant_shares() {
    let mut allocator = allocator();
    // F1 holds 3/9 of the cpus and F2 holds 12/18 of the memory, so F1 is next.
    let used = [
        (F1, parse("cpus:3;mem:1024").allocated_to("*")),
        (F2, parse("cpus:1;mem:12288").allocated_to("*")),
    ];
    allocator.add_agent(A1, "S1", parse("cpus:9;mem:18432"), &used);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    allocator.add_framework(F2, "fw-2", roles(&["*"]), true);
    assert_eq!(run(&mut allocator, at(0)), ["f1 a1 * cpus:5; mem:5120"]);
    assert_eq!(allocator.role_share("*"), 1.0);
}

#[test]
fn weights_divide_the_shares_of_roles() {
    let mut allocator = allocator();
    allocator.set_weight("heavy", 3.0);
    allocator.set_weight("ignored", f64::NAN);
    allocator.add_framework(F1, "fw-1", roles(&["heavy"]), true);
    allocator.add_framework(F2, "fw-2", roles(&["light"]), true);
    for number in 0..8 {
        allocator.add_agent(AgentKey(number), "S", parse("cpus:4;mem:4096"), &[]);
    }
    let grants = allocator.run(at(0));
    let heavy = grants.iter().filter(|grant| grant.role == "heavy").count();
    assert_eq!((heavy, grants.len()), (6, 8));
    assert_eq!(allocator.role_share("heavy"), 0.25);
    assert_eq!(allocator.role_share("light"), 0.25);
}

#[test]
fn roles_below_another_share_its_part() {
    let mut allocator = allocator();
    allocator.add_framework(F1, "fw-1", roles(&["eng/web"]), true);
    allocator.add_framework(F2, "fw-2", roles(&["eng/db", "eng"]), true);
    allocator.add_framework(FrameworkKey(3), "fw-3", roles(&["ops"]), true);
    for number in 0..12 {
        allocator.add_agent(AgentKey(number), "S", parse("cpus:1;mem:1024"), &[]);
    }
    let grants = allocator.run(at(0));
    let count = |role: &str| grants.iter().filter(|grant| grant.role == role).count();
    assert_eq!([count("ops"), count("eng"), count("eng/web"), count("eng/db")], [6, 2, 2, 2]);
    assert_eq!(allocator.role_share("eng"), 0.5);
}

#[test]
fn a_filter_holds_back_the_same_and_less_but_not_more() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    run(&mut allocator, at(0));
    let half = parse("cpus:2;mem:2048").allocated_to("*");
    allocator.recover(F1, A1, &half, Some(Duration::from_secs(5)), at(500));
    assert_eq!(allocator.active_filters("*"), 1);
    assert!(run(&mut allocator, at(1000)).is_empty());
    assert_eq!(allocator.deadline(), Some(at(6000)), "the filter runs out at 5.5 s");
    // More than was refused is free now.
    allocator.recover(F1, A1, &parse("cpus:1").allocated_to("*"), None, at(2500));
    assert_eq!(run(&mut allocator, at(3000)), ["f1 a1 * cpus:3; mem:2048"]);
}

#[test]
fn a_filter_runs_out() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    let grants = allocator.run(at(0));
    allocator.recover(F1, A1, &grants[0].resources, Some(Duration::from_millis(1)), at(0));
    // A refusal holds for an allocation interval at least.
    assert!(run(&mut allocator, at(999)).is_empty());
    assert_eq!(run(&mut allocator, at(1000)).len(), 1);
    assert_eq!(allocator.active_filters("*"), 0);
}

#[test]
fn a_filter_concerns_one_role_and_one_agent() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["a", "b"]), true);
    let grants = allocator.run(at(0));
    assert_eq!(grants[0].role, "a");
    allocator.recover(F1, A1, &grants[0].resources, Some(Duration::from_secs(60)), at(1));
    assert_eq!(run(&mut allocator, at(1000)), ["f1 a1 b cpus:4; mem:4096"]);
    allocator.add_agent(AgentKey(2), "S2", parse("cpus:4;mem:4096"), &[]);
    assert_eq!(run(&mut allocator, at(1001)), ["f1 a2 a cpus:4; mem:4096"]);
}

#[test]
fn reviving_forgets_filters_and_runs_at_once() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    let grants = allocator.run(at(0));
    allocator.recover(F1, A1, &grants[0].resources, Some(Duration::from_secs(3600)), at(1));
    assert!(run(&mut allocator, at(5000)).is_empty());
    allocator.revive(F1, &[]);
    assert!(allocator.deadline().is_some_and(|deadline| deadline <= at(5000)));
    assert_eq!(run(&mut allocator, at(5001)).len(), 1);
}

#[test]
fn suppressing_stops_offers_until_reviving() {
    let mut allocator = allocator();
    allocator.add_framework(F1, "fw-1", roles(&["a", "b"]), true);
    allocator.suppress(F1, &["a".to_owned()]);
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    assert_eq!(run(&mut allocator, at(0)), ["f1 a1 b cpus:4; mem:4096"]);
    allocator.suppress(F1, &[]);
    allocator.recover(F1, A1, &parse("cpus:4;mem:4096").allocated_to("b"), None, at(1));
    assert_eq!(allocator.deadline(), None, "nobody takes offers");
    assert!(run(&mut allocator, at(1000)).is_empty());
    allocator.revive(F1, &["a".to_owned()]);
    assert_eq!(run(&mut allocator, at(1001)), ["f1 a1 a cpus:4; mem:4096"]);
}

#[test]
fn inactive_frameworks_and_agents_take_no_part() {
    let mut allocator = allocator();
    allocator.add_framework(F1, "fw-1", roles(&["*"]), false);
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    assert!(run(&mut allocator, at(0)).is_empty());
    allocator.deactivate_agent(A1);
    allocator.activate_framework(F1);
    assert!(run(&mut allocator, at(1)).is_empty());
    allocator.activate_agent(A1);
    assert_eq!(run(&mut allocator, at(2)).len(), 1);
    allocator.deactivate_framework(F1);
    allocator.recover(F1, A1, &parse("cpus:4;mem:4096").allocated_to("*"), None, at(3));
    assert!(run(&mut allocator, at(1000)).is_empty());
}

#[test]
fn reservations_go_to_their_role_and_the_roles_below() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus(eng):2;cpus:1;mem:1024"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["ops"]), true);
    assert_eq!(run(&mut allocator, at(0)), ["f1 a1 ops cpus:1; mem:1024"]);
    allocator.add_framework(F2, "fw-2", roles(&["eng/web"]), true);
    let reserved = "f2 a1 eng/web cpus(reservations: [(STATIC,eng)]):2";
    assert_eq!(run(&mut allocator, at(1)), [reserved]);
}

#[test]
fn gpu_agents_are_kept_for_frameworks_with_gpus() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096;gpus:1"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    assert!(run(&mut allocator, at(0)).is_empty());
    allocator.update_framework(F1, FrameworkOptions { gpu: true, ..roles(&["*"]) });
    assert_eq!(run(&mut allocator, at(1)).len(), 1);
}

#[test]
fn revocable_resources_go_to_frameworks_that_take_them() {
    let mut revocable = parse("cpus:2").to_messages();
    revocable[0].revocable = Some(Default::default());
    let total = parse("cpus:1;mem:64") + Resources::from_messages(&revocable).unwrap();
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", total, &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    assert_eq!(run(&mut allocator, at(0)), ["f1 a1 * cpus:1; mem:64"]);
    allocator.add_framework(
        F2,
        "fw-2",
        FrameworkOptions { revocable: true, ..roles(&["*"]) },
        true,
    );
    assert_eq!(run(&mut allocator, at(1)), ["f2 a1 * cpus{REV}:2"]);
}

#[test]
fn crumbs_are_not_offered() {
    let mut allocator = allocator();
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    allocator.add_agent(A1, "S1", parse("cpus:0.009;mem:31;disk:1000"), &[]);
    assert!(run(&mut allocator, at(0)).is_empty());
    let disk = vec![parse("disk:1").quantities()];
    let minimum_allocatable = [("*".to_owned(), disk)].into();
    allocator.update_framework(F1, FrameworkOptions { minimum_allocatable, ..roles(&["*"]) });
    assert_eq!(run(&mut allocator, at(1)).len(), 1);
}

#[test]
fn excluded_names_do_not_count_for_shares() {
    let options = Options { excluded: vec!["gpus".into()], ..Options::default() };
    let mut allocator = Allocator::new(options, Generator::from_number(1));
    let used = [(F1, parse("gpus:4").allocated_to("*"))];
    allocator.add_agent(A1, "S1", parse("cpus:4;gpus:4"), &used);
    assert_eq!(allocator.role_share("*"), 0.0);
    assert_eq!(allocator.offered_or_allocated(), &parse("gpus:4").quantities());
}

#[test]
fn removal_gives_back_what_was_held() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    run(&mut allocator, at(0));
    allocator.remove_framework(F1);
    allocator.check_conservation().unwrap();
    allocator.add_framework(F2, "fw-2", roles(&["*"]), true);
    assert_eq!(run(&mut allocator, at(1)).len(), 1);
    allocator.remove_agent(A1);
    allocator.check_conservation().unwrap();
    assert!(allocator.total().is_empty() && allocator.offered_or_allocated().is_empty());
    // What arrives too late changes nothing.
    allocator.recover(F2, A1, &parse("cpus:4").allocated_to("*"), None, at(2));
    allocator.check_conservation().unwrap();
}

#[test]
fn a_shrunken_agent_recovers() {
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&["*"]), true);
    let held = allocator.run(at(0)).remove(0).resources;
    allocator.update_agent(A1, parse("cpus:2;mem:8192"));
    assert!(allocator.check_conservation().is_err(), "more is held than there is");
    assert_eq!(allocator.free(A1), &parse("mem:4096"));
    allocator.recover(F1, A1, &held, None, at(1));
    assert_eq!(allocator.free(A1), &parse("cpus:2;mem:8192"));
    allocator.check_conservation().unwrap();
}

#[test]
fn a_role_of_any_depth_is_fine() {
    let role = "a/".repeat(20_000) + "a";
    let mut allocator = allocator();
    allocator.add_agent(A1, "S1", parse("cpus:4;mem:4096"), &[]);
    allocator.add_framework(F1, "fw-1", roles(&[&role]), true);
    assert_eq!(allocator.run(at(0)).len(), 1);
    allocator.remove_framework(F1);
    assert_eq!(allocator.role_share(&role), 0.0);
}
