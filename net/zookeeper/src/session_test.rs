//! The session machine alone: a test plays the servers and the clock.

use orrery_runtime::WallTime;
use orrery_runtime::coordination::{Access, Change, CreateMode};
use proptest::prelude::*;

use super::*;
use crate::jute::Frames;
use crate::records::SetWatches;

const TIMEOUT: Duration = Duration::from_secs(10);

fn at(milliseconds: u64) -> Now {
    let instant = Instant::from_nanoseconds(milliseconds * 1_000_000);
    Now { instant, wall: WallTime::default() }
}

fn session(servers: u16) -> SessionMachine {
    let servers = (1..=servers).map(|port| Address::new("zk", port)).collect();
    let options = SessionOptions { servers, timeout: TIMEOUT, credentials: None };
    SessionMachine::new(options, Generator::from_number(1))
}

fn step(machine: &mut SessionMachine, time: u64, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    machine.step(at(time), input, &mut outputs);
    outputs
}

fn whole(frame: Bytes) -> Bytes {
    let mut frames = Frames::default();
    frames.buffer().extend_from_slice(&frame);
    frames.next_frame().expect("a length").expect("a whole frame")
}

fn welcome(session: i64) -> Bytes {
    let timeout = if session == 0 { 0 } else { 10_000 };
    whole(ConnectResponse { timeout, session, password: Bytes::from_static(b"secret") }.frame())
}

fn reply(number: i32, zxid: i64, answer: Option<&Answer>) -> Bytes {
    whole(ReplyHeader { number, zxid, error: code::OK }.frame(answer))
}

/// Connects, from a tick that is due at `time`; greeted at once.
fn connect(machine: &mut SessionMachine, time: u64, number: i64) -> Vec<Output> {
    let outputs = step(machine, time, Input::Tick);
    assert!(matches!(outputs[..], [Output::Connect(..)]), "{outputs:?}");
    let attempt = machine.attempt;
    step(machine, time, Input::Opened(attempt));
    step(machine, time, Input::Frame(attempt, welcome(number)))
}

fn told(outputs: &[Output]) -> Vec<&Happening> {
    let mut told = Vec::new();
    for output in outputs {
        if let Output::Tell(happening) = output {
            told.push(happening);
        }
    }
    told
}

fn children(path: &str) -> Request {
    Request::Children { path: path.to_owned(), watch: true }
}

#[test]
fn the_time_out_counts_from_when_the_answered_request_was_sent() {
    let mut machine = session(1);
    connect(&mut machine, 0, 7);
    // A ping is due after a third of the time-out; its answer takes two seconds.
    let outputs = step(&mut machine, 3_334, Input::Tick);
    assert!(matches!(outputs[..], [Output::Send(_)]), "{outputs:?}");
    step(&mut machine, 5_334, Input::Frame(1, reply(xid::PING, 1, None)));
    assert_eq!(machine.expires(), Some(at(3_334 + 9_900).instant));
    // A watch proves nothing: the server may long have been cut off.
    let watch = whole(ReplyHeader::watch_frame("/x", Change::Data));
    step(&mut machine, 6_000, Input::Frame(1, watch));
    assert_eq!(machine.expires(), Some(at(13_234).instant));
    let outputs = step(&mut machine, 13_234, Input::Tick);
    assert_eq!(told(&outputs), [&Happening::Expired]);
    assert_eq!(outputs.last(), Some(&Output::Over));
    assert_eq!(machine.deadline(), None);
    assert_eq!(step(&mut machine, 13_235, Input::Frame(1, reply(xid::PING, 2, None))), []);
}

#[test]
fn a_silent_server_is_left_in_time_to_try_another() {
    let mut machine = session(3);
    connect(&mut machine, 0, 7);
    step(&mut machine, 1_000, Input::Request(5, children("/x")));
    step(&mut machine, 4_334, Input::Tick);
    let outputs = step(&mut machine, 6_667, Input::Tick);
    let lost = Err(RequestError::ConnectionLost);
    let expected = [&Happening::Disconnected, &Happening::Answered { token: 5, answer: lost }];
    assert_eq!(told(&outputs), expected);
    let outputs = connect(&mut machine, 6_720, 7);
    assert!(matches!(told(&outputs)[..], [Happening::Connected { session: 7, .. }]));
}

#[test]
fn another_session_than_ours_is_the_end_of_ours() {
    for number in [0, 8] {
        let mut machine = session(2);
        connect(&mut machine, 0, 7);
        step(&mut machine, 10, Input::Broken(1, String::new()));
        let outputs = connect(&mut machine, 70, number);
        assert_eq!(told(&outputs), [&Happening::Expired], "{number}");
    }
}

#[test]
fn watches_are_renewed_once_their_request_was_answered() {
    let mut machine = session(2);
    connect(&mut machine, 0, 7);
    for (token, path) in [(1, "/told"), (2, "/kept"), (3, "/lost")] {
        step(&mut machine, 1, Input::Request(token, children(path)));
    }
    for number in [1, 2] {
        let answer = Answer::Children(Vec::new());
        step(&mut machine, 2, Input::Frame(1, reply(number, 40, Some(&answer))));
    }
    let watch = whole(ReplyHeader::watch_frame("/told", Change::Children));
    assert_eq!(told(&step(&mut machine, 3, Input::Frame(1, watch.clone()))).len(), 1);
    assert_eq!(step(&mut machine, 3, Input::Frame(1, watch)), [], "each watch is told once");
    step(&mut machine, 4, Input::Broken(1, String::new()));
    let outputs = connect(&mut machine, 70, 7);
    let watches =
        SetWatches { since: 40, children: vec!["/kept".to_owned()], ..SetWatches::default() };
    let frame = ClientRecord::SetWatches(watches).frame(xid::SET_WATCHES);
    assert!(outputs.contains(&Output::Send(frame)), "{outputs:?}");
}

#[test]
fn nothing_is_asked_without_a_connection() {
    let mut machine = session(1);
    let outputs = step(&mut machine, 0, Input::Request(1, children("/x")));
    let answer = Err(RequestError::NotConnected);
    assert_eq!(outputs, [Output::Tell(Happening::Answered { token: 1, answer })]);
}

#[test]
fn a_session_is_closed_at_the_next_opportunity() {
    let mut machine = session(1);
    assert_eq!(step(&mut machine, 0, Input::Close), [Output::Disconnect, Output::Over]);

    let mut machine = session(1);
    connect(&mut machine, 0, 7);
    step(&mut machine, 10, Input::Broken(1, String::new()));
    assert_eq!(step(&mut machine, 20, Input::Close), []);
    let outputs = connect(&mut machine, 600, 7);
    assert!(outputs.contains(&Output::Send(ClientRecord::Close.frame(1))), "{outputs:?}");
    let outputs = step(&mut machine, 610, Input::Frame(2, reply(1, 1, None)));
    assert_eq!(outputs.last(), Some(&Output::Over));
}

/// Servers that answer everything but that must not keep anybody waiting for ever.
#[test]
fn closing_takes_no_longer_than_the_time_out() {
    let mut machine = session(2);
    connect(&mut machine, 0, 7);
    step(&mut machine, 100, Input::Close);
    for _ in 0..20 {
        let Some(due) = machine.deadline() else { break };
        let time = due.as_nanoseconds().div_ceil(1_000_000);
        assert!(time <= 9_900, "still waiting at {time} ms");
        for output in step(&mut machine, time, Input::Tick) {
            if let Output::Connect(attempt, _) = output {
                step(&mut machine, time, Input::Opened(attempt));
                step(&mut machine, time, Input::Frame(attempt, welcome(7)));
            }
        }
    }
    assert_eq!(machine.deadline(), None);
}

fn any_input() -> impl Strategy<Value = Input> {
    let frame = prop_oneof![
        Just(welcome(7)),
        Just(welcome(0)),
        Just(reply(xid::PING, 3, None)),
        (0..4).prop_map(|number| reply(number, 5, Some(&Answer::Children(Vec::new())))),
        Just(whole(ReplyHeader::watch_frame("/x", Change::Children))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ];
    let make = Request::Create {
        path: "/x".to_owned(),
        data: Bytes::new(),
        mode: CreateMode::Ephemeral,
        access: Access::Open,
    };
    prop_oneof![
        2 => (0..4_u64).prop_map(Input::Opened),
        5 => (0..4_u64, frame).prop_map(|(attempt, frame)| Input::Frame(attempt, frame)),
        1 => (0..4_u64).prop_map(|attempt| Input::Broken(attempt, String::new())),
        2 => Just(Input::Request(1, children("/x"))),
        2 => Just(Input::Request(2, make)),
        4 => Just(Input::Tick),
        1 => Just(Input::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever servers say: connections alternate with their loss, each request has one answer,
    /// and nothing follows the end.
    #[test]
    fn what_is_told_makes_sense(
        inputs in prop::collection::vec((0..4_000_u64, any_input()), 0..60),
    ) {
        let mut machine = session(2);
        let (mut time, mut connected, mut over, mut open) = (0, false, false, 0_i64);
        for (pause, input) in inputs {
            time += pause;
            open += i64::from(!over && matches!(input, Input::Request(..)));
            for output in step(&mut machine, time, input) {
                prop_assert!(!over, "after the end: {:?}", output);
                match output {
                    Output::Tell(Happening::Connected { .. }) => {
                        prop_assert!(!std::mem::replace(&mut connected, true));
                    }
                    Output::Tell(Happening::Disconnected) => {
                        prop_assert!(std::mem::replace(&mut connected, false));
                    }
                    Output::Tell(Happening::Answered { .. }) => open -= 1,
                    Output::Over => over = true,
                    _ => {}
                }
            }
            prop_assert!(over || open >= 0);
            if over {
                prop_assert_eq!(machine.deadline(), None);
            }
        }
    }
}
