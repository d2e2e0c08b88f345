//! The connection that carries the calls: one after the other, without waiting for answers between
//! them.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use orrery_api::v1::scheduler::{Call, call};
use orrery_coverage::{reachable, sometimes};
use orrery_http::{MediaType, media, wire_log};
use orrery_runtime::{Address, ByteStream, Connection, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::answer::{self, Answer, AnswerError};
use crate::queue::CallReceiver;

/// How many calls may be on their way without an answer. Large enough to keep a master busy over
/// any network (at 10 ms for a round trip, 100,000 calls a second).
pub const IN_FLIGHT: usize = 1024;

/// How many calls are written to the socket at once.
pub const BATCH: usize = 64;

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long the master may say nothing while it owes an answer. It answers at once, also when it is
/// busy; a connection that has died without a word would otherwise take calls for a quarter of an
/// hour, while events still come over the other one.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A call that the master did not take.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) call: call::Type,
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Why calls can no longer be carried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error("cannot connect to {0} for calls: {1}")]
    Connect(Address, io::Error),
    #[error("the connection for calls broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the connection for calls was closed with calls unanswered")]
    Closed,
    #[error("no answer to a call came within {} s", ANSWER_TIME.as_secs())]
    Silent,
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("the master answers a call with {0}: it does not lead any more")]
    NotLeading(u16),
}

/// How a connection ended without harm.
enum End {
    /// All calls were answered and no more will come.
    Drained,
    /// The master closed it while nothing was on its way, as servers do after a while.
    Idle,
}

/// Carries calls under one subscription.
pub(crate) struct Pipeline {
    pub(crate) runtime: Runtime,
    pub(crate) master: Address,
    pub(crate) media_type: MediaType,
    pub(crate) stream_id: String,
    pub(crate) authorization: Option<String>,
    pub(crate) calls: CallReceiver,
    pub(crate) refusals: mpsc::Sender<Refusal>,
}

impl Pipeline {
    /// Runs until all calls were answered and their sender is gone.
    pub(crate) async fn run(mut self) -> Result<(), PipelineError> {
        // The first call waits here, so that a framework that makes none needs no connection.
        let mut pending = Vec::with_capacity(BATCH);
        while !pending.is_empty() || self.calls.take(&mut pending, BATCH).await {
            let connection = self.connect().await?;
            if let End::Drained = self.exchange(connection, &mut pending).await? {
                break;
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, PipelineError> {
        let connecting = self.runtime.network.connect(&self.master);
        match self.runtime.timeout(CONNECT_TIME, connecting).await {
            Some(connection) => connection.map_err(|error| {
                reachable!("a framework cannot connect for its calls");
                PipelineError::Connect(self.master.clone(), error)
            }),
            None => {
                let error = io::ErrorKind::TimedOut.into();
                Err(PipelineError::Connect(self.master.clone(), error))
            }
        }
    }

    async fn exchange(
        &mut self,
        connection: Connection,
        pending: &mut Vec<Call>,
    ) -> Result<End, PipelineError> {
        let (read_half, write_half) = tokio::io::split(connection.stream);
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let encoder = Encoder {
            head: self.head(),
            stream_id: self.stream_id.clone(),
            media_type: self.media_type,
            buffer: Vec::new(),
        };
        let reader = Reader {
            runtime: self.runtime.clone(),
            stream: read_half,
            buffer: BytesMut::with_capacity(16 << 10),
        };
        let mut reading = pin!(read_answers(reader, receiver, &self.refusals));
        let mut writing = pin!(write_calls(write_half, encoder, &mut self.calls, pending, sender));
        tokio::select! {
            biased;
            end = &mut reading => end,
            written = &mut writing => {
                sometimes!(written.is_err(), "a framework's calls cannot be written");
                // An answer that came before the break says more than the break.
                if let Err(error) = written {
                    return Err(error.into());
                }
                reading.await
            }
        }
    }

    /// The headers that all calls have in common.
    fn head(&self) -> String {
        let name = self.media_type.name();
        let mut head = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: {}\r\nContent-Type: {name}\r\n\
             Accept: {name}\r\nMesos-Stream-Id: {}\r\n",
            self.master, self.stream_id
        );
        if let Some(authorization) = &self.authorization {
            head.push_str("Authorization: ");
            head.push_str(authorization);
            head.push_str("\r\n");
        }
        head
    }
}

struct Encoder {
    head: String,
    stream_id: String,
    media_type: MediaType,
    buffer: Vec<u8>,
}

impl Encoder {
    fn push(&mut self, call: &Call) {
        wire_log::sent(&self.stream_id, call);
        let body = media::encode(self.media_type, call);
        self.buffer.extend_from_slice(self.head.as_bytes());
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        self.buffer.extend_from_slice(length.as_bytes());
        self.buffer.extend_from_slice(&body);
    }
}

/// Writes calls as they come, and tells `sent` about each one before it is on its way. `pending`
/// holds calls that are taken from the queue but not written.
async fn write_calls(
    mut stream: WriteHalf<Box<dyn ByteStream>>,
    mut encoder: Encoder,
    calls: &mut CallReceiver,
    pending: &mut Vec<Call>,
    sent: mpsc::Sender<call::Type>,
) -> io::Result<()> {
    while !pending.is_empty() || calls.take(pending, BATCH).await {
        // The reader drops its end only together with this future.
        let Ok(permits) = sent.reserve_many(pending.len()).await else {
            return Ok(());
        };
        for (permit, call) in permits.zip(pending.drain(..)) {
            encoder.push(&call);
            permit.send(call.r#type());
        }
        stream.write_all(&encoder.buffer).await?;
        stream.flush().await?;
        sometimes!(encoder.buffer.len() > 64 << 10, "calls of more than 64 KiB are sent at once");
        encoder.buffer.clear();
    }
    Ok(())
}

async fn read_answers(
    mut reader: Reader,
    mut sent: mpsc::Receiver<call::Type>,
    refusals: &mpsc::Sender<Refusal>,
) -> Result<End, PipelineError> {
    loop {
        let call = tokio::select! {
            biased;
            call = sent.recv() => call,
            read = reader.fill() => match read? {
                0 => {
                    reachable!("the master closes an idle connection for calls");
                    return Ok(End::Idle);
                }
                _ => {
                    reachable!("the master answers a call that was not made");
                    return Err(PipelineError::Closed);
                }
            },
        };
        let Some(call) = call else {
            return Ok(End::Drained);
        };
        let answer = reader.next().await?;
        match answer.status {
            200..=299 => {}
            status @ (307 | 503) => {
                reachable!("a call goes to a master that does not lead (any more)");
                return Err(PipelineError::NotLeading(status));
            }
            status => {
                reachable!("a call is refused with a status");
                // The session is over when nobody listens; the answer is then of no use.
                let _ = refusals.send(Refusal { call, status, text: answer.text }).await;
            }
        }
    }
}

struct Reader {
    runtime: Runtime,
    stream: ReadHalf<Box<dyn ByteStream>>,
    buffer: BytesMut,
}

impl Reader {
    async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn next(&mut self) -> Result<Answer, PipelineError> {
        loop {
            while let Some((answer, length)) = answer::parse(&self.buffer)? {
                self.buffer.advance(length);
                if answer.status >= 200 {
                    return Ok(answer);
                }
            }
            let read = self.stream.read_buf(&mut self.buffer);
            match self.runtime.timeout(ANSWER_TIME, read).await {
                Some(Ok(0)) => {
                    reachable!("the connection for calls closes with calls unanswered");
                    return Err(PipelineError::Closed);
                }
                Some(read) => read?,
                None => {
                    reachable!("calls are not answered, and nobody says why");
                    return Err(PipelineError::Silent);
                }
            };
        }
    }
}
