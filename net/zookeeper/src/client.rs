//! Runs sessions on the ports.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use orrery_runtime::coordination::{
    Coordination, Happening, Request, Session, SessionEnd, SessionOptions, Token,
};
use orrery_runtime::machine::{Driver, Feeder};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::jute::Frames;
use crate::session::{Attempt, Input, MOST_REQUESTS, Output, SessionMachine};

/// Inputs that may wait for a session.
const QUEUE: usize = 64;

/// A client of ZooKeeper ensembles on the ports of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ZooKeeper {
    runtime: Runtime,
}

impl ZooKeeper {
    /// On the ports of `runtime`.
    pub const fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }
}

impl Coordination for ZooKeeper {
    fn open(&self, options: SessionOptions) -> Session {
        let (session, end) = Session::new();
        let random = self.runtime.random.generator();
        let machine = SessionMachine::new(options, random);
        let (driver, feeder) = Driver::new(machine, QUEUE);
        let run = run(self.runtime.clone(), driver, feeder, end);
        self.runtime.spawn("zookeeper session", run);
        session
    }
}

/// A connection that is made or used; dropping it ends it.
struct Link {
    frames: mpsc::Sender<Bytes>,
    _task: AbortOnDrop,
}

async fn run(
    runtime: Runtime,
    driver: Driver<SessionMachine>,
    feeder: Feeder<SessionMachine>,
    end: SessionEnd,
) {
    let SessionEnd { requests, happenings } = end;
    let _requests =
        runtime.spawn("zookeeper requests", feed(requests, feeder.clone())).abort_on_drop();
    let mut link: Option<Link> = None;
    let ports = runtime.clone();
    let carry = |output| {
        match output {
            Output::Connect(attempt, server) => {
                // Room for every request that may wait, and for what the session sends by itself.
                let (frames, outgoing) = mpsc::channel(MOST_REQUESTS + QUEUE);
                let talk = talk(ports.clone(), server, attempt, feeder.clone(), outgoing);
                let task = ports.spawn("zookeeper connection", talk).abort_on_drop();
                link = Some(Link { frames, _task: task });
            }
            Output::Send(frame) => {
                // When nobody takes it any more, the connection has broken and says so itself.
                let _ = link.as_ref().map(|link| link.frames.try_send(frame));
            }
            Output::Disconnect => link = None,
            Output::Tell(happening) => {
                log(&happening);
                // The owner may be gone and only its session not yet closed.
                let _ = happenings.send(happening);
            }
            Output::Over => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    };
    driver.run(runtime, carry).await;
}

fn log(happening: &Happening) {
    match happening {
        Happening::Connected { session, timeout } => {
            tracing::info!(%session, ?timeout, "connected to ZooKeeper");
        }
        Happening::Disconnected => tracing::info!("the connection to ZooKeeper is lost"),
        Happening::Expired => tracing::warn!("the ZooKeeper session has expired"),
        Happening::Refused => tracing::error!("ZooKeeper refuses the credentials"),
        other => tracing::debug!(happening = ?other, "ZooKeeper"),
    }
}

async fn feed(mut requests: mpsc::Receiver<(Token, Request)>, feeder: Feeder<SessionMachine>) {
    while let Some((token, request)) = requests.recv().await {
        if feeder.feed(Input::Request(token, request)).await.is_err() {
            return;
        }
    }
    let _ = feeder.feed(Input::Close).await;
}

/// Connects, carries frames both ways, and says when that is over.
async fn talk(
    runtime: Runtime,
    server: Address,
    attempt: Attempt,
    feeder: Feeder<SessionMachine>,
    outgoing: mpsc::Receiver<Bytes>,
) {
    let talked = async {
        let connection = runtime.network.connect(&server).await?;
        if feeder.feed(Input::Opened(attempt)).await.is_err() {
            return Ok(());
        }
        let (reader, writer) = tokio::io::split(connection.stream);
        tokio::select! {
            biased;
            received = receive(reader, attempt, &feeder) => received,
            sent = send(writer, outgoing) => sent,
        }
    };
    let why = match talked.await {
        Ok(()) => format!("{server} closed the connection"),
        Err(error) => {
            tracing::debug!(%server, %error, "no connection to a ZooKeeper server");
            format!("{server}: {error}")
        }
    };
    let _ = feeder.feed(Input::Broken(attempt, why)).await;
}

async fn receive(
    mut reader: impl AsyncRead + Unpin,
    attempt: Attempt,
    feeder: &Feeder<SessionMachine>,
) -> io::Result<()> {
    let mut frames = Frames::default();
    loop {
        while let Some(frame) = frames.next_frame().map_err(io::Error::other)? {
            if feeder.feed(Input::Frame(attempt, frame)).await.is_err() {
                return Ok(());
            }
        }
        if reader.read_buf(frames.buffer()).await? == 0 {
            return Ok(());
        }
    }
}

async fn send(
    mut writer: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    while let Some(frame) = outgoing.recv().await {
        writer.write_all(&frame).await?;
        writer.flush().await?;
    }
    Ok(())
}
