//! The model of ZooKeeper, seen by the real client.
#![cfg(feature = "sim")]

mod support;

use orrery_runtime::Runtime;
use orrery_runtime::coordination::{
    Access, Answer, Change, Coordination, CreateMode, Credentials, Happening, Request,
    RequestError, Session, SessionOptions,
};
use orrery_runtime_sim::{Config, Ensemble, Host, World};
use orrery_zookeeper::ZooKeeper;
use support::{run, run_all, seconds};

const SERVERS: [&str; 3] = ["zk-1", "zk-2", "zk-3"];

fn open(runtime: &Runtime, ensemble: &Ensemble, credentials: Option<&str>) -> Session {
    ZooKeeper::new(runtime.clone()).open(SessionOptions {
        servers: ensemble.addresses(),
        timeout: seconds(10),
        credentials: credentials.map(Credentials::new),
    })
}

/// A client that knows its session's number.
async fn client(world: &World, name: &str, ensemble: &Ensemble) -> (Host, Session, i64) {
    let host = world.host(name);
    let (_, runtime) = host.attach("client");
    let mut session = open(&runtime, ensemble, None);
    let Some(Happening::Connected { session: number, timeout }) = session.next().await else {
        panic!("no session");
    };
    assert_eq!(timeout, seconds(10));
    (host, session, number)
}

async fn ask(session: &mut Session, request: Request) -> Result<Answer, RequestError> {
    session.request(1, request).await.expect("the session lives");
    loop {
        match session.next().await {
            Some(Happening::Answered { answer, .. }) => return answer,
            Some(_) => {}
            None => return Err(RequestError::SessionOver),
        }
    }
}

fn create(path: &str, mode: CreateMode) -> Request {
    let access = Access::Open;
    Request::Create { path: path.to_owned(), data: "data".into(), mode, access }
}

fn children(path: &str) -> Request {
    Request::Children { path: path.to_owned(), watch: true }
}

fn created(path: &str) -> Result<Answer, RequestError> {
    Ok(Answer::Created(path.to_owned()))
}

#[test]
fn nodes_and_watches() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, mut a, _) = client(&world, "a", &ensemble).await;
        let (_, mut b, _) = client(&world, "b", &ensemble).await;
        assert_eq!(ask(&mut a, create("/g", CreateMode::Persistent)).await, created("/g"));
        let again = ask(&mut a, create("/g", CreateMode::Persistent)).await;
        assert_eq!(again, Err(RequestError::NodeExists));
        let member = create("/g/m_", CreateMode::EphemeralSequential);
        assert_eq!(ask(&mut a, member.clone()).await, created("/g/m_0000000000"));
        assert_eq!(ask(&mut b, Request::Sync { path: "/".into() }).await, Ok(Answer::Synced));
        let listed = ask(&mut b, children("/g")).await;
        assert_eq!(listed, Ok(Answer::Children(vec!["m_0000000000".to_owned()])));
        assert_eq!(ask(&mut a, member).await, created("/g/m_0000000001"));
        let told = b.next().await;
        let change = Change::Children;
        assert_eq!(told, Some(Happening::Watched { path: "/g".into(), change }));
        a.close().await;
        assert!(ensemble.children("/g").is_empty(), "a closed session takes its nodes along");
    });
}

#[test]
fn a_session_outlives_its_server_and_watches_come_along() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, mut a, _) = client(&world, "a", &ensemble).await;
        let (_, mut b, _) = client(&world, "b", &ensemble).await;
        ask(&mut a, create("/g", CreateMode::Persistent)).await.expect("makes it");
        ask(&mut b, Request::Sync { path: "/".into() }).await.expect("catches up");
        ask(&mut b, children("/g")).await.expect("lists it");
        for server in 0..3 {
            ensemble.kill_server(server);
        }
        assert_eq!(b.next().await, Some(Happening::Disconnected));
        for server in 0..3 {
            ensemble.start_server(server);
        }
        assert!(matches!(b.next().await, Some(Happening::Connected { .. })));
        loop {
            if ask(&mut a, create("/g/x", CreateMode::Ephemeral)).await == created("/g/x") {
                break;
            }
            world.sleep(seconds(1)).await;
        }
        let change = Change::Children;
        assert_eq!(b.next().await, Some(Happening::Watched { path: "/g".into(), change }));
    });
}

/// Catalogue: Z1.
#[test]
fn an_ended_session_is_told_of() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, mut a, number) = client(&world, "a", &ensemble).await;
        ask(&mut a, create("/x", CreateMode::Ephemeral)).await.expect("makes it");
        world.inject(&"expire-sessions / all".parse().expect("a fault")).expect("known");
        assert_eq!(a.next().await, Some(Happening::Disconnected));
        assert_eq!(a.next().await, Some(Happening::Expired));
        assert_eq!(a.next().await, None);
        assert!(!ensemble.has_session(number));
    });
}

/// A session that is cut off ends by the client's own clock, before the ensemble ends it.
#[test]
fn the_client_gives_up_first() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (host, mut a, number) = client(&world, "a", &ensemble).await;
        let drift = world.random(|random| random.below(1_001)) as i64 - 500;
        host.set_clock_drift(drift);
        world.sleep(seconds(20)).await;
        world.network().isolate(&host);
        let start = world.now();
        assert_eq!(a.next().await, Some(Happening::Disconnected));
        assert_eq!(a.next().await, Some(Happening::Expired));
        assert!(ensemble.has_session(number), "the ensemble has ended it already");
        assert!(world.now() - start <= seconds(10));
        let ended = world.until(seconds(15), seconds(1), || !ensemble.has_session(number)).await;
        assert!(ended, "the ensemble never ended it");
    });
}

/// Catalogue: Z7.
#[test]
fn an_unknown_outcome_may_be_a_success() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, mut a, _) = client(&world, "a", &ensemble).await;
        for server in SERVERS {
            world.inject(&format!("lose-answers {server} 1").parse().unwrap()).expect("known");
        }
        let lost = ask(&mut a, create("/x", CreateMode::Ephemeral)).await;
        assert_eq!(lost, Err(RequestError::ConnectionLost));
        assert_eq!(ensemble.children("/").len(), 1, "it was carried out");
    });
}

/// Catalogue: Z6.
#[test]
fn without_a_majority_nothing_is_written() {
    run(1, Config::default(), |world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, mut a, number) = client(&world, "a", &ensemble).await;
        let leader = ensemble.leader().expect("somebody leads");
        let others: Vec<usize> = (0..3).filter(|server| *server != leader).collect();
        for server in &others {
            ensemble.pause_server(*server);
        }
        world.sleep(seconds(180)).await;
        assert!(ensemble.has_session(number), "nobody could end the session");
        assert_eq!(ensemble.leader(), None);
        let mut told = Vec::new();
        while let Some(happening) = a.next().await {
            told.push(happening);
        }
        assert_eq!(told.last(), Some(&Happening::Expired));
        world.mend();
        let leads = world.until(seconds(30), seconds(1), || ensemble.leader().is_some()).await;
        assert!(leads, "nobody leads after all is mended");
        let ended = world.until(seconds(30), seconds(1), || !ensemble.has_session(number)).await;
        assert!(ended, "the session was kept for ever");
    });
}

#[test]
fn credentials_are_looked_at() {
    run_all(|world| async move {
        let ensemble = Ensemble::start(&world, &SERVERS);
        let (_, runtime) = world.host("a").attach("client");
        let mut owner = open(&runtime, &ensemble, Some("mesos:secret"));
        let mut other = open(&runtime, &ensemble, Some("mesos:wrong"));
        for session in [&mut owner, &mut other] {
            assert!(matches!(session.next().await, Some(Happening::Connected { .. })));
        }
        let access = Access::ReadAllCreatorAll;
        let (path, mode) = ("/g".to_owned(), CreateMode::Persistent);
        let group = Request::Create { path, data: "".into(), mode, access };
        assert_eq!(ask(&mut owner, group).await, created("/g"));
        let member = create("/g/m", CreateMode::Ephemeral);
        assert_eq!(ask(&mut other, Request::Sync { path: "/".into() }).await, Ok(Answer::Synced));
        assert!(ask(&mut other, children("/g")).await.is_ok(), "everybody may read");
        assert_eq!(ask(&mut other, member.clone()).await, Err(RequestError::NotAllowed));
        assert_eq!(ask(&mut owner, member).await, created("/g/m"));
        let mut nobody = open(&runtime, &ensemble, Some("nobody"));
        assert!(matches!(nobody.next().await, Some(Happening::Connected { .. })));
        assert_eq!(nobody.next().await, Some(Happening::Refused));
    });
}
