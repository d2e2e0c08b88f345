//! What a master makes of whom it finds in ZooKeeper.

use super::*;

const LONG: Duration = Duration::from_secs(25);

fn address(number: u16) -> Address {
    Address::new("master", number)
}

fn group(quorum: usize) -> Group {
    Group::new(address(1), quorum, LONG)
}

/// How many replicas the log is told of.
fn joined(group: &mut Group, numbers: &[u16]) -> Option<usize> {
    let addresses = numbers.iter().copied().map(address).collect();
    group.joined(addresses, Instant::default()).map(|replicas| replicas.len())
}

/// A replica says which quorum it was told, and votes or is new.
fn says(group: &mut Group, number: u16, quorum: usize, votes: bool) -> Option<usize> {
    let state = if votes { ReplicaState::Voting } else { ReplicaState::Empty };
    let statement = Statement { id: number.into(), cluster: Cluster::changing(quorum), state };
    group.heard(address(number), statement, Instant::default()).map(|replicas| replicas.len())
}

fn still_so(group: &mut Group) -> Result<(), String> {
    group.still_so(Instant::default() + LONG).map_err(|trouble| trouble.to_string())
}

#[test]
fn a_replica_begins_once_it_has_seen_itself() {
    let mut group = group(2);
    assert_eq!(joined(&mut group, &[2, 3]), None);
    assert_eq!(joined(&mut group, &[1, 2, 3]), Some(1), "nobody has said anything");
    assert_eq!(says(&mut group, 2, 2, true), Some(2));
    assert_eq!(says(&mut group, 3, 2, true), Some(3));
    assert_eq!(group.deadline(), None);
    assert_eq!(joined(&mut group, &[]), Some(0), "its session has expired");
    assert_eq!(says(&mut group, 3, 2, true), None, "it has left");
}

#[test]
fn a_quorum_that_is_too_small_is_refused() {
    let mut group = group(1);
    assert_eq!(joined(&mut group, &[1, 2, 3]), None);
    assert_eq!(says(&mut group, 2, 2, true), None);
    assert_eq!(group.deadline(), Some(Instant::default() + LONG));
    let expected = "--quorum is 1, but 3 masters have joined in ZooKeeper \
                    (master:1, master:2, master:3): expected 2 on all of them, more than half";
    assert_eq!(still_so(&mut group), Err(expected.to_owned()));
}

/// The one that is new ends first, and the other one goes on.
#[test]
fn whoever_has_a_log_waits_longer_for_one_too_many_to_end() {
    let mut group = group(2);
    assert_eq!(joined(&mut group, &[1, 2, 3, 4]), None);
    assert_eq!(says(&mut group, 1, 2, true), None);
    assert_eq!(group.deadline(), Some(Instant::default() + LONG * 2));
    for (number, votes) in [(2, true), (3, true), (4, false)] {
        assert_eq!(says(&mut group, number, 2, votes), None);
    }
    assert_eq!(group.deadline(), Some(Instant::default() + LONG * 2), "whatever the others say");
    assert_eq!(joined(&mut group, &[1, 2, 3]), Some(3));
}

#[test]
fn a_node_that_a_replaced_master_left_behind_is_waited_for() {
    let mut group = group(2);
    assert_eq!(joined(&mut group, &[1, 2, 3, 4]), None);
    assert_eq!(says(&mut group, 3, 2, true), None);
    assert_eq!(joined(&mut group, &[1, 3, 4]), Some(2));
    assert_eq!(group.deadline(), None);
}

#[test]
fn a_log_that_has_begun_keeps_its_replicas() {
    let mut group = group(2);
    joined(&mut group, &[1, 2, 3]);
    says(&mut group, 2, 2, true);
    assert_eq!(says(&mut group, 3, 2, true), Some(3));
    assert_eq!(joined(&mut group, &[1, 2, 3, 4]), None);
    assert_eq!(says(&mut group, 4, 2, false), None);
    assert!(group.deadline().is_some());
    assert_eq!(still_so(&mut group), Ok(()), "it is told and nothing more");
    assert!(group.deadline().is_some(), "and told again");
    assert_eq!(joined(&mut group, &[1, 2, 3]), None);
    assert_eq!(group.deadline(), None);
}

/// One that was told three comes among those that were told two.
#[test]
fn whoever_was_told_another_quorum_ends_and_is_no_replica() {
    let mut newcomer = Group::new(address(4), 3, LONG);
    assert_eq!(joined(&mut newcomer, &[1, 2, 4]), Some(1));
    says(&mut newcomer, 1, 2, true);
    says(&mut newcomer, 2, 2, true);
    assert!(!newcomer.goes_on());
    let expected = "this replica was started with --quorum=3, but master:1, master:2 with \
                    --quorum=2: expected the same on all of them";
    assert_eq!(still_so(&mut newcomer), Err(expected.to_owned()));

    let mut running = group(2);
    joined(&mut running, &[1, 2, 4]);
    assert_eq!(says(&mut running, 2, 2, true), Some(2));
    assert_eq!(says(&mut running, 4, 3, true), None);
    assert_eq!(still_so(&mut running), Ok(()));
    assert!(running.trouble().is_some() && running.goes_on());
    assert_eq!(joined(&mut running, &[1, 2, 3, 4]), None, "the third has to say first");
    assert_eq!(says(&mut running, 3, 2, true), Some(3), "four have joined, three count");
    assert_eq!(joined(&mut running, &[1, 2, 3]), None);
    assert!(running.trouble().is_none());
}

/// The right one is started again while the wrong one is there.
#[test]
fn a_wrong_one_does_not_keep_a_right_one_away() {
    let mut group = group(2);
    assert_eq!(joined(&mut group, &[1, 2, 3, 4]), None);
    assert_eq!(says(&mut group, 4, 3, true), None);
    assert_eq!(says(&mut group, 2, 2, true), Some(2), "two against one");
    assert_eq!(says(&mut group, 3, 2, true), Some(3));
    assert_eq!(still_so(&mut group), Ok(()));
}

/// Two of five think that they are a majority of three.
#[test]
fn those_that_are_wrong_together_end_too() {
    let mut group = group(2);
    joined(&mut group, &[1, 2, 3, 4, 5]);
    says(&mut group, 2, 2, true);
    for number in 3..6 {
        assert_eq!(says(&mut group, number, 3, true), None);
    }
    assert!(group.told.is_none());
    assert!(still_so(&mut group).unwrap_err().starts_with("--quorum is 2, but 5 masters"));
}

#[test]
fn what_a_quorum_that_is_too_large_needs_is_told() {
    let mut group = group(3);
    joined(&mut group, &[1, 2, 3]);
    for number in 1..=3 {
        says(&mut group, number, 3, false);
    }
    assert_eq!(group.deadline(), Some(Instant::default() + Agreement::PATIENCE));
    assert_eq!(still_so(&mut group), Ok(()));
    assert_eq!(group.deadline(), Some(Instant::default() + LONG + REPEAT), "again and again");
    let text = group.trouble().unwrap().to_string();
    for part in [
        "--quorum is 3, more than half of 5 masters",
        "once 5 that were started with --quorum=3 have joined",
        "joined: 3 (master:1, master:2, master:3)",
        "if these 3 are all masters, expected --quorum=2 on each of them",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn quorums_that_differ_on_a_new_log_are_told() {
    let mut group = group(2);
    joined(&mut group, &[1, 2, 3]);
    says(&mut group, 1, 2, false);
    says(&mut group, 2, 2, false);
    says(&mut group, 3, 3, false);
    assert_eq!(still_so(&mut group), Ok(()), "nobody knows who is right");
    let text = group.trouble().unwrap().to_string();
    for part in [
        "--quorum is 2,",
        "joined: 2 (master:1, master:2), and others: master:3 with --quorum=3",
        "if these 3 are all masters, expected --quorum=2 on each of them",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// It is one of three that are started again with a quorum for five, or the first of five that come
/// back. With a smaller quorum it would begin to serve by itself, with a log that may be behind.
#[test]
fn no_smaller_quorum_is_advised_where_a_log_could_go_on_without_others() {
    let advice = |own: Option<bool>, present: &[u16]| {
        let mut group = group(3);
        joined(&mut group, present);
        own.map(|votes| says(&mut group, 1, 3, votes));
        let text = group.trouble().unwrap().to_string();
        assert!(text.starts_with("--quorum is 3, more than half of 5 masters"), "{text}");
        text.contains("are all masters")
    };
    assert!(!advice(Some(true), &[1]), "it has a log and is the first");
    assert!(!advice(Some(true), &[1, 2, 3]), "it has a log, which the others may lack");
    assert!(!advice(Some(false), &[1, 2]), "more are on their way, for all that it knows");
    assert!(!advice(None, &[1, 2, 3]), "it does not know yet whether it has a log");
    assert!(advice(Some(false), &[1, 2, 3]));
}

/// A replica says that it has this id.
fn has_id(group: &mut Group, number: u16, id: u64) {
    let cluster = Cluster::changing(2);
    let statement = Statement { id, cluster, state: ReplicaState::Voting };
    group.heard(address(number), statement, Instant::default());
}

#[test]
fn of_two_masters_with_one_folder_the_second_ends() {
    let mut first = group(2);
    joined(&mut first, &[1, 3]);
    has_id(&mut first, 1, 7);
    joined(&mut first, &[1, 2, 3]);
    has_id(&mut first, 2, 7);
    assert_eq!(first.deadline(), Some(Instant::default() + LONG * 2));
    assert_eq!(still_so(&mut first), Ok(()));
    assert!(first.goes_on());
    assert_eq!(joined(&mut first, &[1, 3]), Some(1), "it is not told of any more");
    assert!(first.trouble().is_some_and(|trouble| matches!(trouble, Trouble::TooFew { .. })));

    let mut second = Group::new(address(2), 2, LONG);
    joined(&mut second, &[1, 2, 3]);
    has_id(&mut second, 2, 7);
    assert!(second.told.is_some());
    has_id(&mut second, 1, 7);
    assert_eq!(second.deadline(), Some(Instant::default() + LONG));
    let expected = "master:2 and master:1, which has joined in ZooKeeper, are both this replica, \
                    or its folder was copied: expected a folder replicated_log of its own for each";
    assert_eq!(still_so(&mut second), Err(expected.to_owned()));
    assert!(!second.goes_on());
}

/// The quorum is right, so nothing is said of it.
#[test]
fn a_copy_that_is_one_too_many_is_called_a_copy() {
    let mut fourth = Group::new(address(4), 2, LONG);
    assert_eq!(joined(&mut fourth, &[1, 2, 3, 4]), None);
    for (number, id) in [(1, 7), (2, 8), (3, 9), (4, 9)] {
        has_id(&mut fourth, number, id);
    }
    assert!(fourth.told.is_none());
    assert!(still_so(&mut fourth).unwrap_err().starts_with("master:4 and master:3, which"));
}

#[test]
fn a_node_of_the_own_former_address_is_waited_for() {
    let mut group = group(2);
    joined(&mut group, &[1, 2, 3]);
    has_id(&mut group, 1, 7);
    has_id(&mut group, 3, 7);
    assert!(group.trouble().is_some());
    joined(&mut group, &[1, 2]);
    assert!(!matches!(group.trouble(), Some(Trouble::Twice { .. })));
}
