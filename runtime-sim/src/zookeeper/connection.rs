//! One client's connection to one server, in ZooKeeper's own protocol.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use orrery_runtime::coordination::{Answer, Request};
use orrery_runtime::{Connection as Stream, Runtime};
use orrery_zookeeper::jute::Frames;
use orrery_zookeeper::records::{
    ClientRecord, ConnectRequest, ConnectResponse, ReplyHeader, SetWatches, code, xid,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Ensemble;
use super::state::{Connection, Outgoing};
use super::tree::{Client, Renewed, Transaction};
use crate::config::nanoseconds;

/// A server and one of its connections.
pub(super) type Place = (usize, u64);

/// The connection is to be closed.
fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// Answers one client until one of both has enough.
pub(super) async fn serve(
    runtime: &Runtime,
    ensemble: &Ensemble,
    place: Place,
    stream: Stream,
) -> io::Result<()> {
    let (mut reader, writer) = tokio::io::split(stream.stream);
    let mut frames = Frames::default();
    let greeting = next_frame(&mut reader, &mut frames).await?;
    let request = ConnectRequest::read(greeting).map_err(io::Error::other)?;
    let (outgoing, to_send) = mpsc::unbounded_channel();
    let desk = Desk { runtime, ensemble, place, outgoing };
    let answer = async {
        let mut client = desk.greet(&request).await?;
        loop {
            let frame = next_frame(&mut reader, &mut frames).await?;
            let (number, record) = ClientRecord::read(frame).map_err(io::Error::other)?;
            desk.record(&mut client, number, record.ok_or_else(closed)?).await?;
        }
    };
    tokio::select! {
        biased;
        sent = send(writer, to_send) => sent,
        answered = answer => answered,
    }
}

async fn next_frame(
    reader: &mut (impl AsyncRead + Unpin),
    frames: &mut Frames,
) -> io::Result<Bytes> {
    loop {
        if let Some(frame) = frames.next_frame().map_err(io::Error::other)? {
            return Ok(frame);
        }
        if reader.read_buf(frames.buffer()).await? == 0 {
            return Err(closed());
        }
    }
}

async fn send(
    mut writer: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> io::Result<()> {
    while let Some(Outgoing::Frame(frame)) = outgoing.recv().await {
        writer.write_all(&frame).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}

/// Where one client is served.
struct Desk<'a> {
    runtime: &'a Runtime,
    ensemble: &'a Ensemble,
    place: Place,
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

impl Desk<'_> {
    fn send(&self, frame: Bytes) -> io::Result<()> {
        self.outgoing.send(Outgoing::Frame(frame)).map_err(|_| closed())
    }

    /// Begins a session or goes on with one.
    async fn greet(&self, request: &ConnectRequest) -> io::Result<Client> {
        {
            let (server, _) = self.place;
            let state = self.ensemble.state();
            let server = state.servers.get(server).filter(|server| server.serves());
            // A client must not see time go back.
            if server.ok_or_else(closed)?.tree.zxid < request.last_zxid {
                return Err(closed());
            }
        }
        let session = if request.session == 0 {
            self.open(request).await?
        } else {
            let leader = self.leader().await?;
            if !self.resume(leader, request) {
                let over = ConnectResponse { timeout: 0, session: 0, password: Bytes::new() };
                self.send(over.frame())?;
                let _ = self.outgoing.send(Outgoing::End);
                return std::future::pending().await;
            }
            request.session
        };
        self.enter(session)
    }

    /// Takes a session over; false when it is over or somebody else's.
    fn resume(&self, leader: usize, request: &ConnectRequest) -> bool {
        let (server, connection) = self.place;
        let mut state = self.ensemble.state();
        let known = state.head.sessions.get(&request.session);
        let ours = known.is_some_and(|session| session.password == request.password);
        if ours {
            state.own(leader, request.session, server, connection);
        }
        ours
    }

    /// Has this server serve a session from now on.
    fn enter(&self, session: i64) -> io::Result<Client> {
        let (server, connection) = self.place;
        let mut state = self.ensemble.state();
        let record = state.head.sessions.get(&session).cloned().ok_or_else(closed)?;
        let client = Client { session, users: BTreeSet::new() };
        let entry = Connection {
            client: client.clone(),
            outgoing: self.outgoing.clone(),
            data: BTreeSet::new(),
            children: BTreeSet::new(),
        };
        let here = state.servers.get_mut(server).filter(|server| server.serves());
        here.ok_or_else(closed)?.connections.insert(connection, entry);
        drop(state);
        let timeout = i32::try_from(record.timeout / 1_000_000).unwrap_or(i32::MAX);
        self.send(ConnectResponse { timeout, session, password: record.password }.frame())?;
        Ok(client)
    }

    async fn open(&self, request: &ConnectRequest) -> io::Result<i64> {
        let (server, connection) = self.place;
        let leader = self.leader().await?;
        let (session, applied) = {
            let mut state = self.ensemble.state();
            let session = state.new_session(server);
            let timeout = nanoseconds(state.negotiate(request.timeout));
            let [low, high] = [state.random.next_u64(), state.random.next_u64()];
            let password = [low.to_be_bytes(), high.to_be_bytes()].concat().into();
            let length = state.commit(Transaction::OpenSession { session, timeout, password });
            state.own(leader, session, server, connection);
            (session, state.wait(server, length))
        };
        applied.await.map_err(|_| closed())?;
        Ok(session)
    }

    /// Waits until a leader can carry something out, as long as this server serves.
    async fn leader(&self) -> io::Result<usize> {
        let (server, _) = self.place;
        loop {
            let (latency, pause) = {
                let mut state = self.ensemble.state();
                (state.latency(), state.tick / 2)
            };
            self.runtime.sleep(latency).await;
            {
                let state = self.ensemble.state();
                if !state.servers.get(server).is_some_and(|server| server.serves()) {
                    return Err(closed());
                }
                if let Some(leader) = state.able_leader(server) {
                    return Ok(leader);
                }
            }
            self.runtime.sleep(pause).await;
        }
    }

    async fn record(
        &self,
        client: &mut Client,
        number: i32,
        record: ClientRecord,
    ) -> io::Result<()> {
        let (server, _) = self.place;
        self.ensemble.state().touch(server, client.session);
        let reply = match record {
            ClientRecord::Ping => (xid::PING, Ok(None)),
            ClientRecord::Authenticate(user) if user.contains(&b':') => {
                client.users.insert(user);
                (xid::AUTHENTICATE, Ok(None))
            }
            ClientRecord::Authenticate(_) => (xid::AUTHENTICATE, Err(code::AUTH_FAILED)),
            ClientRecord::SetWatches(watches) => {
                self.renew(&watches);
                (xid::SET_WATCHES, Ok(None))
            }
            ClientRecord::Close => {
                self.leader().await?;
                let mut state = self.ensemble.state();
                // Applying it takes the connection away, so the answer goes before.
                self.send(header(number, state.head.zxid, code::OK).frame(None))?;
                state.commit(Transaction::CloseSession { session: client.session });
                return Ok(());
            }
            ClientRecord::Request(request) => (number, self.request(client, &request).await?),
        };
        let zxid = self.ensemble.state().servers.get(server).map_or(0, |server| server.tree.zxid);
        match reply {
            (number, Ok(answer)) => {
                self.send(header(number, zxid, code::OK).frame(answer.as_ref()))
            }
            (number, Err(error)) => self.send(header(number, zxid, error).frame(None)),
        }
    }

    async fn request(
        &self,
        client: &Client,
        request: &Request,
    ) -> io::Result<Result<Option<Answer>, i32>> {
        let (server, connection) = self.place;
        let writes = !matches!(
            request,
            Request::Exists { .. } | Request::Get { .. } | Request::Children { .. }
        );
        let mut outcome = Ok(Transaction::Nothing);
        if writes {
            self.leader().await?;
            let applied = {
                let mut state = self.ensemble.state();
                // Another server may have taken the session over.
                if !state.owns(client.session, server, connection) {
                    return Err(closed());
                }
                let length = if matches!(request, Request::Sync { .. }) {
                    state.length()
                } else {
                    outcome = state.head.prepare(client, request);
                    state.commit(outcome.clone().unwrap_or(Transaction::Nothing))
                };
                state.wait(server, length)
            };
            applied.await.map_err(|_| closed())?;
        }
        let mut state = self.ensemble.state();
        let server = state.servers.get_mut(server).ok_or_else(closed)?;
        if writes && server.lost_answers > 0 {
            server.lost_answers -= 1;
            return Err(closed());
        }
        let answer = outcome.and_then(|transaction| server.tree.answer(request, &transaction));
        if let Some(here) = server.connections.get_mut(&connection) {
            match (request, &answer) {
                (Request::Exists { path, watch: true }, Ok(_) | Err(code::NO_NODE))
                | (Request::Get { path, watch: true }, Ok(_)) => {
                    here.data.insert(path.clone());
                }
                (Request::Children { path, watch: true }, Ok(_)) => {
                    here.children.insert(path.clone());
                }
                _ => {}
            }
        }
        Ok(answer.map(Some))
    }

    /// Takes over watches that another server knew, and tells what they missed.
    fn renew(&self, watches: &SetWatches) {
        let (server, connection) = self.place;
        let mut state = self.ensemble.state();
        let Some(server) = state.servers.get_mut(server) else { return };
        let Some(here) = server.connections.get_mut(&connection) else { return };
        let lists = [
            (Renewed::Data, &watches.data),
            (Renewed::Exists, &watches.exists),
            (Renewed::Children, &watches.children),
        ];
        let renewed = lists.iter().flat_map(|(kind, list)| list.iter().map(|path| (*kind, path)));
        for (kind, path) in renewed {
            if let Some(change) = server.tree.missed(path, kind, watches.since) {
                let frame = ReplyHeader::watch_frame(path, change);
                let _ = here.outgoing.send(Outgoing::Frame(frame));
            } else if kind == Renewed::Children {
                here.children.insert(path.clone());
            } else {
                here.data.insert(path.clone());
            }
        }
    }
}

const fn header(number: i32, zxid: i64, error: i32) -> ReplyHeader {
    ReplyHeader { number, zxid, error }
}
