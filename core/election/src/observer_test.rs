//! The observer alone: a test plays the service.

use orrery_runtime::WallTime;

use super::*;

fn observer(kind: Kind) -> ObserverMachine {
    let mut machine = ObserverMachine::new(kind, &"zk://a:1/mesos".parse().expect("a URL"));
    let timeout = std::time::Duration::from_secs(10);
    let outputs = feed(&mut machine, Happening::Connected { session: 7, timeout });
    assert!(matches!(outputs[..], [Output::Ask(_, Request::Children { watch: true, .. })]));
    machine
}

fn feed(machine: &mut ObserverMachine, happening: Happening) -> Outputs {
    let now = Now { instant: Instant::from_nanoseconds(1), wall: WallTime::default() };
    let mut outputs = Vec::new();
    machine.step(now, Input::Happened(happening), &mut outputs);
    outputs
}

fn answer(machine: &mut ObserverMachine, answer: Result<Answer, RequestError>) -> Outputs {
    let token = machine.line.token();
    feed(machine, Happening::Answered { token, answer })
}

fn names(names: &[&str]) -> Result<Answer, RequestError> {
    Ok(Answer::Children(names.iter().map(|name| (*name).to_owned()).collect()))
}

fn data(text: &'static str) -> Result<Answer, RequestError> {
    Ok(Answer::Data(Bytes::from_static(text.as_bytes()), Default::default()))
}

/// Who is told to be there.
fn told(outputs: &Outputs) -> Option<Vec<&str>> {
    outputs.iter().find_map(|output| match output {
        Output::Tell(Ok(members)) => {
            Some(members.iter().map(|member| member.name.as_str()).collect())
        }
        _ => None,
    })
}

fn changed(machine: &mut ObserverMachine) -> Outputs {
    let change = orrery_runtime::coordination::Change::Children;
    feed(machine, Happening::Watched { path: "/mesos".to_owned(), change })
}

#[test]
fn the_lowest_master_is_told_once() {
    let mut machine = observer(Kind::Masters);
    let present = ["json.info_0000000004", "json.info_0000000003", "log_replicas"];
    let outputs = answer(&mut machine, names(&present));
    let path = "/mesos/json.info_0000000003".to_owned();
    let get = Request::Get { path, watch: false };
    assert!(matches!(&outputs[..], [Output::Ask(_, asked)] if *asked == get), "{outputs:?}");
    let outputs = answer(&mut machine, data("{}"));
    assert_eq!(told(&outputs), Some(vec!["json.info_0000000003"]));
    // Another one joins behind it, which is no news.
    changed(&mut machine);
    assert_eq!(answer(&mut machine, names(&present[..2])), []);
}

#[test]
fn a_leader_that_goes_before_it_is_read_is_none() {
    let mut machine = observer(Kind::Masters);
    answer(&mut machine, names(&["json.info_0000000003"]));
    let outputs = answer(&mut machine, Err(RequestError::NoNode));
    assert_eq!(told(&outputs), Some(vec![]));
}

#[test]
fn all_replicas_are_told() {
    let mut machine = observer(Kind::Replicas);
    answer(&mut machine, names(&["0000000001", "0000000000"]));
    assert_eq!(told(&answer(&mut machine, data("a"))), None, "not before all are known");
    let outputs = answer(&mut machine, data("b"));
    assert_eq!(told(&outputs), Some(vec!["0000000000", "0000000001"]));
}

/// Bug in Mesos: MESOS-9426.
#[test]
fn a_group_that_is_not_there_is_waited_for() {
    let mut machine = observer(Kind::Masters);
    let outputs = answer(&mut machine, Err(RequestError::NoNode));
    assert!(matches!(outputs[..], [Output::Ask(_, Request::Exists { watch: true, .. })]));
    assert_eq!(told(&answer(&mut machine, Ok(Answer::Exists(None)))), Some(vec![]));
    let outputs = changed(&mut machine);
    assert!(matches!(outputs[..], [Output::Ask(_, Request::Children { watch: true, .. })]));
}

#[test]
fn nobody_leads_once_the_session_has_expired() {
    let mut machine = observer(Kind::Masters);
    answer(&mut machine, names(&["json.info_0000000003"]));
    answer(&mut machine, data("{}"));
    assert_eq!(feed(&mut machine, Happening::Disconnected), [], "not before");
    let outputs = feed(&mut machine, Happening::Expired);
    assert_eq!(told(&outputs), Some(vec![]));
    assert_eq!(outputs.last(), Some(&Output::Reopen));
}
