//! The laws of the algebra, and what is read from and written to messages and text.

use std::collections::BTreeMap;

use orrery_api::v1;
use orrery_model::{Resources, Scalar, endpoint_object};
use proptest::prelude::*;

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    let scalar = Some(v1::value::Scalar { value });
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar,
        ..Default::default()
    }
}

fn level(kind: v1::resource::reservation_info::Type, role: &str) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        r#type: Some(kind as i32),
        role: Some(role.into()),
        ..Default::default()
    }
}

fn volume(id: &str, megabytes: f64) -> v1::Resource {
    use v1::resource::disk_info::Persistence;
    let persistence = Some(Persistence { id: id.into(), ..Default::default() });
    let mut resource = scalar("disk", megabytes);
    resource.reservations = vec![level(v1::resource::reservation_info::Type::Dynamic, "eng")];
    let disk = v1::resource::DiskInfo { persistence, ..Default::default() };
    resource.disk = Some(Box::new(disk));
    resource
}

// === strategies ===

/// Plain, reserved, refined, revocable and allocated amounts and volumes, all valid.
fn message() -> impl Strategy<Value = v1::Resource> {
    let scalars =
        (prop_oneof!["cpus", "mem", "disk", "gpus", "bugs"], 0i64..5).prop_map(|(name, units)| {
            let thousandths = if name == "gpus" { units * 1000 } else { units * 250 };
            scalar(&name, Scalar(thousandths).as_f64())
        });
    let ranges = (0u64..30, 0u64..10).prop_map(|(begin, size)| {
        let range = vec![v1::value::Range { begin, end: begin + size }];
        v1::Resource {
            name: "ports".into(),
            r#type: v1::value::Type::Ranges as i32,
            ranges: Some(v1::value::Ranges { range }),
            ..Default::default()
        }
    });
    let sets = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_map(|items| {
        let item = items.into_iter().map(str::to_owned).collect();
        v1::Resource {
            name: "zones".into(),
            r#type: v1::value::Type::Set as i32,
            set: Some(v1::value::Set { item }),
            ..Default::default()
        }
    });
    (prop_oneof![scalars, ranges, sets], 0..6, 0..3).prop_map(|(mut resource, quality, role)| {
        use v1::resource::reservation_info::Type::{Dynamic, Static};
        match quality {
            1 => resource.reservations = vec![level(Static, "eng")],
            2 => resource.reservations = vec![level(Dynamic, "eng"), level(Dynamic, "eng/web")],
            3 => resource.revocable = Some(Default::default()),
            4 => resource = volume("v1", 64.0),
            _ => {}
        }
        if role > 0 {
            let role = Some(format!("role{role}"));
            resource.allocation_info = Some(v1::resource::AllocationInfo { role });
        }
        resource
    })
}

fn resources() -> impl Strategy<Value = Resources> {
    proptest::collection::vec(message(), 0..8)
        .prop_map(|messages| Resources::from_messages(&messages).unwrap())
}

/// Whether sums of the two keep both apart: no port or item in both, which sets cannot count twice.
fn disjoint(a: &Resources, b: &Resources) -> bool {
    use orrery_model::resources::ValueRef;
    a.iter().all(|mine| {
        b.iter().filter(|other| other.name() == mine.name()).all(|other| {
            match (mine.value(), other.value()) {
                (ValueRef::Ranges(a), ValueRef::Ranges(b)) => !a.intersects(b),
                (ValueRef::Set(a), ValueRef::Set(b)) => a.is_disjoint(b),
                _ => true,
            }
        })
    })
}

proptest! {
    #[test]
    fn subtraction_undoes_addition(a in resources(), b in resources()) {
        prop_assume!(disjoint(&a, &b));
        let sum = &a + &b;
        prop_assert_eq!(&(&sum - &b), &a);
        prop_assert_eq!(sum.checked_sub(&a), Some(b));
    }

    #[test]
    fn addition_does_not_care_about_order(a in resources(), b in resources(), c in resources()) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
    }

    #[test]
    fn contains_and_checked_sub_agree(a in resources(), b in resources()) {
        let rest = a.checked_sub(&b);
        prop_assert_eq!(a.contains(&b), rest.is_some());
        if let Some(rest) = rest {
            prop_assert_eq!(&rest + &b, a);
        }
    }

    #[test]
    fn a_sum_contains_its_parts(a in resources(), b in resources()) {
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        let mut quantities = a.quantities();
        quantities += &b.quantities();
        prop_assert_eq!(sum.quantities(), quantities);
        prop_assert_eq!(sum.scalar("bugs"), sum.quantities().get("bugs"));
    }

    #[test]
    fn messages_round_trip(a in resources()) {
        prop_assert_eq!(Resources::from_messages(&a.to_messages()).unwrap(), a.clone());
        if let Some(older) = a.to_older_messages() {
            prop_assert_eq!(Resources::from_messages(&older).unwrap(), a);
        }
    }

    #[test]
    fn text_round_trips(a in resources()) {
        let plain = a.unallocated().unreserved().non_revocable();
        prop_assert_eq!(parse(&plain.to_string()), plain);
    }

    #[test]
    fn json_round_trips(a in resources()) {
        let json: Vec<String> = a
            .to_messages()
            .iter()
            .map(|message| String::from_utf8(orrery_api::json::encode(message)).unwrap())
            .collect();
        prop_assert_eq!(parse(&format!("[{}]", json.join(","))), a);
    }

    #[test]
    fn parts_sum_up_to_the_whole(a in resources()) {
        prop_assert_eq!(&a.unreserved() + &a.reserved(), a.clone());
        prop_assert_eq!(&a.revocable() + &a.non_revocable(), a.clone());
        let by_role: Resources = a.reservations().values().sum();
        prop_assert_eq!(by_role, a.reserved());
        let moved = a.allocated_to("x");
        prop_assert_eq!(moved.allocation_role(), (!a.is_empty()).then_some("x"));
        prop_assert_eq!(moved.unallocated(), a.unallocated());
    }

    #[test]
    fn nothing_makes_the_reader_panic(text in "[a-z0-9:;(){}\\[\\],. \"-]{0,40}") {
        let _ = Resources::parse(&text, "*");
    }
}

// === examples ===

#[test]
fn two_tasks_leave_the_rest_of_an_agent() {
    let agent = parse("cpus:4;mem:4096;ports:[31000-32000]");
    let rest = agent.checked_sub(&parse("cpus:2;mem:1024;ports:[31000-31000]")).unwrap();
    let rest = rest.checked_sub(&parse("cpus:1;mem:2048")).unwrap();
    assert_eq!(rest.to_string(), "cpus:1; mem:1024; ports:[31001-32000]");
    assert_eq!(rest.checked_sub(&parse("cpus:1.001")), None);
}

#[test]
fn prints_like_mesos() {
    let mut reserved = scalar("cpus", 1.0);
    let dynamic = level(v1::resource::reservation_info::Type::Dynamic, "eng");
    reserved.reservations =
        vec![v1::resource::ReservationInfo { principal: Some("me".into()), ..dynamic }];
    let resources = parse("cpus:3;mem:8192;disk:19900;ports:[31000-32000]")
        + Resources::from_messages(&[reserved]).unwrap();
    assert_eq!(
        resources.to_string(),
        "cpus:3; mem:8192; disk:19900; ports:[31000-32000]; \
         cpus(reservations: [(DYNAMIC,eng,me)]):1"
    );
    let allocated = parse("gpus:1").allocated_to("a/b");
    assert_eq!(allocated.to_string(), "gpus(allocated: a/b):1");
}

#[test]
fn flags_reserve_to_a_role() {
    let resources = Resources::parse("cpus:4; mem(web):1024 ;ports(*):[1-2]", "eng").unwrap();
    assert_eq!(resources.reserved_to("eng").to_string(), "cpus(reservations: [(STATIC,eng)]):4");
    assert_eq!(resources.reserved_to("web").scalar("mem"), Scalar::from_units(1024));
    assert_eq!(resources.unreserved().to_string(), "ports:[1-2]");
    assert!(resources.allocatable_to("eng/x").contains(&resources.reserved_to("eng")));
    assert!(resources.allocatable_to("e").reserved().is_empty());
}

#[test]
#[allow(deprecated)]
fn the_older_format_is_upgraded_and_written() {
    let mut older = scalar("cpus", 2.0);
    older.role = Some("eng".into());
    let reservation =
        v1::resource::ReservationInfo { principal: Some("me".into()), ..Default::default() };
    older.reservation = Some(Box::new(reservation));
    let resources = Resources::from_messages(&[older.clone(), scalar("mem", 1.0)]).unwrap();
    let newer = resources.to_messages();
    assert_eq!(newer[0].role, None);
    assert_eq!(newer[1].reservations[0].role(), "eng");
    assert_eq!(newer[1].reservations[0].principal(), "me");
    assert_eq!(resources.to_older_messages().unwrap()[1], older);
    let both = resources.to_endpoint_messages();
    assert_eq!(both[0].role.as_deref(), Some("*"));
    assert_eq!(both[1].reservation, older.reservation);
    assert_eq!(both[1].reservations, newer[1].reservations);
}

#[test]
fn volumes_are_pieces() {
    let two = Resources::from_messages(&[volume("v1", 64.0), volume("v2", 64.0)]).unwrap();
    let small = Resources::from_messages(&[volume("v1", 32.0)]).unwrap();
    assert!(!two.contains(&small), "a part of a volume is not a volume");
    assert_eq!(two.to_messages().len(), 2);
    assert_eq!(two.scalar("disk"), Scalar::from_units(128));
}

#[test]
fn shared_volumes_count_once() {
    let mut shared = volume("v1", 64.0);
    shared.shared = Some(Default::default());
    let one = Resources::from_messages(&[shared]).unwrap();
    let two = &one + &one;
    assert_eq!(two.scalar("disk"), Scalar::from_units(64));
    assert_eq!(two.to_messages().len(), 2);
    assert_eq!(&two - &one, one);
    assert!(!one.contains(&two));
}

#[test]
fn endpoints_see_one_value_for_each_name() {
    let mut revocable = scalar("cpus", 0.5);
    revocable.revocable = Some(Default::default());
    let resources = parse("cpus:3.7;cpus(eng):0.3;ports:[1-2];ports(eng):[3-4];bugs:2;zones:{b,a}")
        + Resources::from_messages(&[revocable]).unwrap();
    let shown: BTreeMap<String, String> =
        endpoint_object(&resources).into_iter().map(|(k, v)| (k, v.to_string())).collect();
    let expected = [
        ("bugs", "2.0"),
        ("cpus", "4.0"),
        ("cpus_revocable", "0.5"),
        ("disk", "0.0"),
        ("gpus", "0.0"),
        ("mem", "0.0"),
        ("ports", "\"[1-4]\""),
        ("zones", "\"{a, b}\""),
    ];
    assert_eq!(shown, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
#[allow(deprecated)]
fn invalid_messages_are_refused_with_a_reason() {
    use v1::resource::reservation_info::Type::{Dynamic, Static};
    let with = |change: fn(&mut v1::Resource)| {
        let mut resource = scalar("cpus", 1.0);
        change(&mut resource);
        Resources::from_messages(&[resource]).unwrap_err().to_string()
    };
    type Change = fn(&mut v1::Resource);
    let cases: [(Change, &str); 14] = [
        (|r| r.name.clear(), "'name' is empty"),
        (|r| *r = scalar("cpus", -1.0), "scalar is -1; expected a number from 0"),
        (|r| *r = scalar("cpus", f64::NAN), "scalar is NaN"),
        (|r| *r = scalar("gpus", 0.5), "scalar is 0.5; expected a whole number"),
        (|r| r.scalar = None, "'type' is SCALAR; expected exactly the value 'scalar'"),
        (|r| r.set = Some(Default::default()), "expected exactly the value 'scalar'"),
        (|r| r.r#type = v1::value::Type::Text as i32, "'type' is 3; expected SCALAR"),
        (|r| r.r#type = 99, "'type' is 99"),
        (|r| r.role = Some("a b".into()), "contains backspace or whitespace"),
        (|r| r.shared = Some(Default::default()), "'shared' is set"),
        (|r| r.disk = Some(Default::default()), "'disk' is set"),
        (|r| r.reservation = Some(Default::default()), "'role' is '*'"),
        (
            |r| {
                r.role = Some("eng".into());
                r.reservations = vec![level(Static, "eng")];
            },
            "'role' is set together with 'reservations'",
        ),
        (
            |r| r.reservations = vec![level(Dynamic, "eng"), level(Dynamic, "web")],
            "reservation for role 'web' refines one for 'eng'",
        ),
    ];
    for (change, reason) in cases {
        let error = with(change);
        assert!(error.contains(reason), "{error} should contain {reason}");
    }
    let error = Resources::parse("cpus=4", "*").unwrap_err().to_string();
    assert_eq!(error, "resource 'cpus=4' is invalid: expected name:value or name(role):value");
}
