//! Masters that contend, and an agent that looks for the leader, before a simulated ensemble.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use orrery_api::v1::MasterInfo;
use orrery_election::{Contender, ContenderEvent, Detector, ElectionError, Options};
use orrery_runtime::coordination::{
    Access, Coordination, CreateMode, Credentials, Happening, Request, SessionOptions,
};
use orrery_runtime::{ProcessId, Runtime};
use orrery_runtime_sim::{Ensemble, World};
use orrery_zookeeper::ZooKeeper;
use tokio::sync::mpsc;

pub const MASTERS: usize = 3;
pub const SERVERS: [&str; 3] = ["zk-1", "zk-2", "zk-3"];
pub const GROUP: &str = "/cluster/mesos";
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What one process believes.
#[derive(Clone, Debug)]
pub struct Belief {
    pub process: ProcessId,
    /// The node and the session by which it leads.
    pub leads: Option<(String, i64)>,
    /// Whom it takes for the leader; the outer `None` is before it knows anything.
    pub sight: Option<Option<MasterInfo>>,
}

/// Who believes what, by the host's name. Only what lives is in it.
pub type Beliefs = BTreeMap<String, Belief>;

pub struct Cluster {
    pub world: World,
    pub ensemble: Ensemble,
    beliefs: Arc<Mutex<Beliefs>>,
    stops: BTreeMap<usize, mpsc::Sender<()>>,
    runs: u32,
    /// Leaderships that were not as they must be, as they began.
    complaints: Arc<Mutex<Vec<String>>>,
}

pub fn master(number: usize) -> String {
    format!("master-{number}")
}

impl Cluster {
    pub fn new(world: &World) -> Self {
        let ensemble = Ensemble::start(world, &SERVERS);
        for number in 0..MASTERS {
            world.host(&master(number));
        }
        Self {
            world: world.clone(),
            ensemble,
            beliefs: Arc::default(),
            stops: BTreeMap::new(),
            runs: 0,
            complaints: Arc::default(),
        }
    }

    pub fn beliefs(&self) -> MutexGuard<'_, Beliefs> {
        self.beliefs.lock().expect("nobody has panicked")
    }

    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.complaints.lock().expect("nobody has panicked"))
    }

    /// Starts something that only looks for the leader.
    pub fn start_agent(&self) {
        let voice = self.voice("agent");
        let host = self.world.host("agent");
        let process = host.start("agent", move |runtime| look(runtime, voice));
        self.enter("agent", process);
    }

    /// Starts a master, unless it lives.
    pub fn start_master(&mut self, number: usize) {
        let name = master(number);
        if self.beliefs().contains_key(&name) {
            return;
        }
        self.runs += 1;
        let id = format!("{name} run {}", self.runs);
        let info = MasterInfo { id, port: 5050, ..MasterInfo::default() };
        let (stop, stopped) = mpsc::channel(1);
        self.stops.insert(number, stop);
        let voice = self.voice(&name);
        let host = self.world.host(&name);
        let process = host.start("master", move |runtime| contend(runtime, info, voice, stopped));
        self.enter(&name, process);
    }

    /// Ends a master at once; its node stays for a while.
    pub fn kill_master(&mut self, number: usize) {
        self.stops.remove(&number);
        let name = master(number);
        let belief = self.beliefs().remove(&name);
        if let Some(belief) = belief {
            self.world.host(&name).kill(belief.process);
        }
    }

    /// Has a master withdraw and end.
    pub fn stop_master(&mut self, number: usize) {
        self.stops.remove(&number);
    }

    /// Makes a node that a user guards, and an ephemeral one.
    pub async fn guard(&self, guarded: &str, ephemeral: &str) {
        let (_, runtime) = self.world.host("operator").attach("operator");
        let mut session = ZooKeeper::new(runtime).open(SessionOptions {
            servers: self.ensemble.addresses(),
            timeout: TIMEOUT,
            credentials: Some(Credentials::new("u:right")),
        });
        session.next().await;
        for (path, mode, access) in [
            (guarded, CreateMode::Persistent, Access::ReadAllCreatorAll),
            (ephemeral, CreateMode::Ephemeral, Access::Open),
        ] {
            let path = path.to_owned();
            let request = Request::Create { path, data: "".into(), mode, access };
            session.request(0, request).await.expect("the session lives");
            let answered = session.next().await;
            assert!(matches!(answered, Some(Happening::Answered { answer: Ok(_), .. })));
        }
        // It lives on, and with it the ephemeral node.
        self.world.spawn(async move { while session.next().await.is_some() {} });
    }

    /// Why a contender for this place cannot contend.
    pub async fn fail_to_contend(&self, credentials: &str, path: &str) -> ElectionError {
        let (_, runtime) = self.world.host(&master(0)).attach("master");
        let zookeeper: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
        let servers: Vec<_> = self.ensemble.addresses().iter().map(ToString::to_string).collect();
        let url = format!("zk://{credentials}{}{path}", servers.join(","));
        let options =
            Options { session_timeout: TIMEOUT, ..Options::new(url.parse().expect("ok")) };
        let info = MasterInfo::default();
        let mut contender = Contender::start(&runtime, &zookeeper, &options, &info);
        match contender.next().await {
            Some(ContenderEvent::Failed(error)) => error,
            other => panic!("{other:?} instead of a failure"),
        }
    }

    fn enter(&self, name: &str, process: ProcessId) {
        let belief = Belief { process, leads: None, sight: None };
        self.beliefs().insert(name.to_owned(), belief);
    }

    fn voice(&self, name: &str) -> Voice {
        Voice {
            name: name.to_owned(),
            ensemble: self.ensemble.clone(),
            beliefs: Arc::clone(&self.beliefs),
            complaints: Arc::clone(&self.complaints),
        }
    }
}

/// Where a process says what it believes.
struct Voice {
    name: String,
    ensemble: Ensemble,
    beliefs: Arc<Mutex<Beliefs>>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Voice {
    fn say(&self, change: impl FnOnce(&mut Belief)) {
        if let Some(belief) = self.beliefs.lock().expect("sound").get_mut(&self.name) {
            change(belief);
        }
    }

    fn complain(&self, text: String) {
        self.complaints.lock().expect("sound").push(format!("{}: {text}", self.name));
    }

    /// Catalogue: S7. Who is elected holds the lowest node of all that were there before, and holds
    /// it by its present session.
    fn elected(&self, name: &str, session: i64) {
        let nodes = self.ensemble.children(GROUP);
        if let Some(own) = nodes.iter().find(|node| node.name == name) {
            if own.session != session {
                self.complain(format!("elected by '{name}' of another session"));
            }
            let number = |name: &str| name.rsplit('_').next().and_then(|n| n.parse::<i32>().ok());
            let lower = nodes
                .iter()
                .find(|node| node.created < own.created && number(&node.name) < number(name));
            if let Some(lower) = lower {
                self.complain(format!("elected by '{name}' above '{}'", lower.name));
            }
        }
        self.say(|belief| belief.leads = Some((name.to_owned(), session)));
    }
}

fn options(ensemble: &Ensemble) -> Options {
    let servers: Vec<String> = ensemble.addresses().iter().map(ToString::to_string).collect();
    let url = format!("zk://{}{GROUP}", servers.join(",")).parse().expect("a URL");
    Options { url, session_timeout: TIMEOUT }
}

async fn look(runtime: Runtime, voice: Voice) -> i32 {
    let zookeeper: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let mut detector = Detector::start(&runtime, &zookeeper, &options(&voice.ensemble));
    loop {
        match detector.next().await {
            Ok(sight) => voice.say(|belief| belief.sight = Some(sight)),
            Err(error) => {
                voice.complain(error.to_string());
                return 1;
            }
        }
    }
}

async fn contend(
    runtime: Runtime,
    info: MasterInfo,
    voice: Voice,
    mut stopped: mpsc::Receiver<()>,
) -> i32 {
    let zookeeper: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let options = options(&voice.ensemble);
    let mut contender = Contender::start(&runtime, &zookeeper, &options, &info);
    let mut detector = Detector::start(&runtime, &zookeeper, &options);
    loop {
        tokio::select! {
            biased;
            _ = stopped.recv() => break,
            event = contender.next() => match event {
                Some(ContenderEvent::Elected { name, session }) => voice.elected(&name, session),
                Some(ContenderEvent::Lost(_)) => voice.say(|belief| belief.leads = None),
                Some(ContenderEvent::Failed(error)) => {
                    voice.complain(error.to_string());
                    return 1;
                }
                None => return 1,
            },
            sight = detector.next() => match sight {
                Ok(sight) => voice.say(|belief| belief.sight = Some(sight)),
                Err(error) => {
                    voice.complain(error.to_string());
                    return 1;
                }
            },
        }
    }
    voice.say(|belief| belief.leads = None);
    contender.withdraw().await;
    voice.beliefs.lock().expect("sound").remove(&voice.name);
    0
}
