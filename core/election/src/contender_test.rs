//! The contender alone: a test plays the service.

use orrery_runtime::WallTime;

use super::*;

const OWN: &str = "json.info_0000000005";

fn contender() -> ContenderMachine {
    let url = "zk://a:1/x/mesos".parse().expect("a URL");
    ContenderMachine::new(Kind::Masters, &url, Bytes::from_static(b"{}"))
}

fn feed(machine: &mut ContenderMachine, happening: Happening) -> Outputs {
    let now = Now { instant: Instant::from_nanoseconds(1), wall: WallTime::default() };
    let mut outputs = Vec::new();
    machine.step(now, Input::Happened(happening), &mut outputs);
    outputs
}

fn connected(session: i64) -> Happening {
    Happening::Connected { session, timeout: std::time::Duration::from_secs(10) }
}

fn answer(machine: &mut ContenderMachine, answer: Result<Answer, RequestError>) -> Outputs {
    let token = machine.line.token();
    feed(machine, Happening::Answered { token, answer })
}

fn asks(outputs: &Outputs) -> Option<&Request> {
    outputs.iter().find_map(|output| match output {
        Output::Ask(_, request) => Some(request),
        _ => None,
    })
}

fn told(outputs: &Outputs) -> Option<&ContenderEvent> {
    outputs.iter().find_map(|output| match output {
        Output::Tell(event) => Some(event),
        _ => None,
    })
}

fn names(names: &[&str]) -> Result<Answer, RequestError> {
    Ok(Answer::Children(names.iter().map(|name| (*name).to_owned()).collect()))
}

/// A contender that has made its node and asks who is there.
fn joined() -> ContenderMachine {
    let mut machine = contender();
    feed(&mut machine, connected(7));
    answer(&mut machine, Ok(Answer::Exists(Some(Default::default()))));
    let outputs = answer(&mut machine, Ok(Answer::Created(format!("/x/mesos/{OWN}"))));
    assert!(matches!(asks(&outputs), Some(Request::Children { watch: true, .. })));
    machine
}

fn elected() -> ContenderMachine {
    let mut machine = joined();
    let outputs = answer(&mut machine, names(&[OWN, "json.info_0000000006", "log_replicas"]));
    let event = ContenderEvent::Elected { name: OWN.to_owned(), session: 7 };
    assert_eq!(told(&outputs), Some(&event));
    machine
}

#[test]
fn the_path_is_made_from_its_beginning() {
    let mut machine = contender();
    let outputs = feed(&mut machine, connected(7));
    assert!(matches!(asks(&outputs), Some(Request::Exists { .. })));
    let mut outputs = answer(&mut machine, Ok(Answer::Exists(None)));
    for path in ["/x", "/x/mesos", "/x/mesos/json.info_"] {
        let Some(Request::Create { path: asked, .. }) = asks(&outputs) else { panic!("{path}") };
        assert_eq!(asked, path);
        // That somebody else was faster is as good.
        outputs = answer(&mut machine, Err(RequestError::NodeExists));
        if path.ends_with('_') {
            assert_eq!(asks(&outputs), None, "a taken number is waited for");
        }
    }
    assert!(machine.deadline().is_some());
}

#[test]
fn who_is_not_the_lowest_waits() {
    let mut machine = joined();
    let outputs = answer(&mut machine, names(&["json.info_0000000004", OWN]));
    assert_eq!(told(&outputs), None);
    let path = "/x/mesos".to_owned();
    let outputs = feed(&mut machine, Happening::Watched { path, change: Change::Children });
    assert!(matches!(asks(&outputs), Some(Request::Children { .. })));
    let outputs = answer(&mut machine, names(&[OWN]));
    assert!(matches!(told(&outputs), Some(ContenderEvent::Elected { .. })));
}

#[test]
fn a_lost_connection_changes_nothing_and_an_expired_session_all() {
    let mut machine = elected();
    assert_eq!(told(&feed(&mut machine, Happening::Disconnected)), None);
    assert_eq!(feed(&mut machine, connected(7)), [], "what was seen still holds");
    let outputs = feed(&mut machine, Happening::Expired);
    let lost = ContenderEvent::Lost(Loss::SessionExpired);
    assert_eq!(outputs, [Output::Tell(lost), Output::Reopen]);
    // The node of the old session may still be there: it is removed, not trusted.
    let outputs = feed(&mut machine, connected(8));
    let path = format!("/x/mesos/{OWN}");
    assert_eq!(asks(&outputs), Some(&Request::Delete { path, version: None }));
    let outputs = answer(&mut machine, Err(RequestError::NoNode));
    assert!(matches!(asks(&outputs), Some(Request::Exists { .. })));
}

#[test]
fn a_node_that_may_have_been_made_ends_with_its_session() {
    let mut machine = contender();
    feed(&mut machine, connected(7));
    answer(&mut machine, Ok(Answer::Exists(Some(Default::default()))));
    feed(&mut machine, Happening::Disconnected);
    let outputs = answer(&mut machine, Err(RequestError::ConnectionLost));
    assert_eq!(outputs, [Output::Reopen]);
}

#[test]
fn who_is_overtaken_or_removed_leads_no_more() {
    for (present, loss) in [
        (vec!["json.info_-2147483648", OWN], Loss::Overtaken),
        (vec!["json.info_0000000006"], Loss::NodeRemoved),
    ] {
        let mut machine = elected();
        let path = "/x/mesos".to_owned();
        feed(&mut machine, Happening::Watched { path, change: Change::Children });
        let outputs = answer(&mut machine, names(&present));
        assert_eq!(told(&outputs), Some(&ContenderEvent::Lost(loss)));
    }
}

#[test]
fn what_cannot_pass_is_told_clearly() {
    let mut machine = contender();
    feed(&mut machine, connected(7));
    answer(&mut machine, Ok(Answer::Exists(Some(Default::default()))));
    let outputs = answer(&mut machine, Err(RequestError::NotAllowed));
    let Some(ContenderEvent::Failed(error)) = told(&outputs) else { panic!("{outputs:?}") };
    let expected = "cannot create a node below '/x/mesos' in ZooKeeper: not allowed: the \
                    credentials are missing or wrong";
    assert_eq!(error.to_string(), expected);
    assert_eq!(outputs.last(), Some(&Output::Done));
}
