//! Random operations by several sessions while servers fail, held against the reference.

use super::*;

/// Sessions at a time.
const PLAYERS: usize = 3;

/// Operations between two faults, and during one.
const CALM: u64 = 15;
const ROUGH: u64 = 4;

struct Game<'a> {
    runtime: &'a Runtime,
    coordination: &'a Arc<dyn Coordination>,
    servers: &'a mut dyn Servers,
    random: Generator,
    root: String,
    reference: Reference,
    players: Vec<Player>,
}

/// Plays `rounds` of operations and faults, drawn from `seed`. While nothing is wrong, every answer
/// and every watch must be what the reference says. While something is wrong, an answer may be
/// missing; then one of both must have come to pass, and all sessions must see the same one.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &mut dyn Servers,
    seed: u64,
    rounds: u64,
) {
    let root = format!("/contract-random-{seed}");
    let reference = Reference::new(&root);
    let random = Generator::from_number(seed);
    let players = Vec::new();
    let mut game = Game { runtime, coordination, servers, random, root, reference, players };
    game.begin().await;
    for round in 0..rounds {
        for _ in 0..CALM {
            game.calm().await;
        }
        game.rough(round).await;
    }
    for player in game.players {
        player.close().await;
    }
}

impl Game<'_> {
    async fn begin(&mut self) {
        for _ in 0..PLAYERS {
            self.join().await;
        }
        let (path, data) = (self.root.clone(), Bytes::new());
        let (mode, access) = (CreateMode::Persistent, Access::Open);
        let made = self.players[0].ask(&Request::Create { path, data, mode, access }).await;
        assert_eq!(made, Ok(Answer::Created(self.root.clone())));
    }

    async fn join(&mut self) {
        let (addresses, timeout) = (self.servers.addresses(), self.servers.timeout());
        let player = Player::open(self.runtime, self.coordination, &addresses, timeout).await;
        self.players.push(player);
    }

    fn draw(&mut self) -> Request {
        const NAMES: [&str; 6] = ["", "/a", "/b", "/c", "/a/x", "/b/x"];
        let name = NAMES[self.random.below(NAMES.len() as u64) as usize];
        let path = format!("{}{name}", self.root);
        let watch = self.random.below(2) == 0;
        let data = Bytes::from(format!("{}", self.random.below(1_000)));
        let version = match self.random.below(3) {
            0 => Some(self.random.below(2) as i32),
            _ => None,
        };
        match self.random.below(10) {
            0..=3 => {
                let mode = match self.random.below(4) {
                    0 => CreateMode::Persistent,
                    1 => CreateMode::PersistentSequential,
                    2 => CreateMode::Ephemeral,
                    _ => CreateMode::EphemeralSequential,
                };
                let path = if name.is_empty() { format!("{path}/a") } else { path };
                Request::Create { path, data, mode, access: Access::Open }
            }
            4 if !name.is_empty() => Request::Delete { path, version },
            5 => Request::Set { path, data, version },
            6 => Request::Exists { path, watch },
            7 => Request::Get { path, watch },
            _ => Request::Children { path, watch },
        }
    }

    fn any_player(&mut self) -> usize {
        self.random.below(self.players.len() as u64) as usize
    }

    /// One operation while nothing is wrong.
    async fn calm(&mut self) {
        let (index, request) = (self.any_player(), self.draw());
        let session = self.players[index].number;
        let (expected, changes) = self.reference.ask(session, &request);
        let watches: Vec<_> = self.players.iter().map(|player| player.expected(&changes)).collect();
        let answer = essence(self.players[index].ask(&request).await);
        assert_eq!(answer, expected, "{request:?} of session {session:#x}");
        for (player, expected) in self.players.iter_mut().zip(watches) {
            assert_eq!(player.told(expected.len()).await, expected, "after {request:?}");
        }
    }

    /// Something goes wrong, operations go on, and all is set right again.
    async fn rough(&mut self, round: u64) {
        let server = self.random.below(3) as usize;
        let others = [server, (server + 1) % 3, (server + 2) % 3];
        let (faults, wait): (Vec<ServerFault>, u32) = match round % 6 {
            0 => (vec![ServerFault::Kill(server)], 0),
            1 => (vec![ServerFault::Stop(server)], 0),
            2 => (vec![ServerFault::Cut(server)], 0),
            // No majority, for less than a session's time-out and for more.
            3 => (others[..2].iter().map(|server| ServerFault::Kill(*server)).collect(), 0),
            4 => (others[..2].iter().map(|server| ServerFault::Stop(*server)).collect(), 2),
            _ => (others.map(ServerFault::Cut).to_vec(), 2),
        };
        let before = self.reference.clone();
        for fault in faults {
            self.servers.inject(fault).await;
        }
        let mut changes = Vec::new();
        let mut unknown = None;
        for _ in 0..ROUGH {
            let (index, request) = (self.any_player(), without_watch(self.draw()));
            if self.players[index].expired {
                continue;
            }
            let session = self.players[index].number;
            let answer = essence(self.players[index].ask(&request).await);
            match answer {
                Err(error) if error.is_unknown() => {
                    unknown = Some((session, request));
                    break;
                }
                Err(error) if error.is_passing() => {}
                answer => {
                    let (expected, more) = self.reference.ask(session, &request);
                    assert_eq!(answer, expected, "{request:?} of session {session:#x}");
                    changes.extend(more);
                }
            }
        }
        self.runtime.sleep(self.servers.timeout() * wait).await;
        self.servers.mend().await;
        self.recover(before, unknown, changes).await;
    }

    /// All is right again: who is over begins anew, and everybody must see one and the same.
    async fn recover(
        &mut self,
        before: Reference,
        unknown: Option<(i64, Request)>,
        mut changes: Vec<(String, Change)>,
    ) {
        // What a stopped server still holds of lost connections comes to nothing in this time.
        self.runtime.sleep(self.servers.timeout() / 10).await;
        for player in &mut self.players {
            player.settle().await;
        }
        let over = |player: &mut Player| player.expired;
        let gone: Vec<Player> = self.players.extract_if(.., over).collect();
        while self.players.len() < PLAYERS {
            self.join().await;
        }
        // A session that is known to be over may live on at the service for a while.
        let ended: Vec<i64> = gone.iter().map(|player| player.number).collect();
        if !ended.is_empty() {
            self.runtime.sleep(self.servers.timeout() * 2).await;
        }
        let mut carried = None;
        if let Some((session, request)) = &unknown {
            let mut after = self.reference.clone();
            let (_, more) = after.ask(*session, request);
            carried = Some((after, more));
        }
        for session in &ended {
            changes.extend(self.reference.end(*session));
            if let Some((after, more)) = &mut carried {
                more.extend(after.end(*session));
            }
        }
        if !self.shows().await {
            let (after, more) = carried.expect("the tree is as nobody has made it");
            self.reference = after;
            changes.extend(more);
            assert!(self.shows().await, "neither with nor without {unknown:?} after {before:?}");
        }
        self.watches_were_told(&before, &changes).await;
    }

    /// Each watch on what changed was told of. One event may stand for several changes that were
    /// missed meanwhile; of a node that came and went, nothing need be told.
    async fn watches_were_told(&mut self, before: &Reference, changes: &[(String, Change)]) {
        for player in &mut self.players {
            let mut expected = player.expected(changes);
            expected.retain(|(path, change)| {
                *change != Change::Created || before.has(path) || self.reference.has(path)
            });
            player.settle().await;
            for (path, change) in player.take_told() {
                let explained = changes.iter().any(|(changed, _)| *changed == path);
                assert!(explained, "told of {change:?} of '{path}', which did not change");
                expected.retain(|(awaited, _)| *awaited != path);
            }
            assert_eq!(expected, [], "was never told");
        }
    }

    /// Whether the tree is as the reference has it.
    async fn shows(&mut self) -> bool {
        let mut paths = vec![self.root.clone()];
        while let Some(path) = paths.pop() {
            let list = Request::Children { path: path.clone(), watch: false };
            let get = Request::Get { path: path.clone(), watch: false };
            for request in [&list, &get] {
                let (expected, _) = self.reference.ask(0, request);
                let answer = essence(self.players[0].ask(request).await);
                if answer != expected {
                    return false;
                }
                if let Ok(Answer::Children(names)) = answer {
                    paths.extend(names.iter().map(|name| format!("{path}/{name}")));
                }
            }
        }
        true
    }
}

fn without_watch(request: Request) -> Request {
    match request {
        Request::Exists { path, .. } => Request::Exists { path, watch: false },
        Request::Get { path, .. } => Request::Get { path, watch: false },
        Request::Children { path, .. } => Request::Children { path, watch: false },
        other => other,
    }
}
