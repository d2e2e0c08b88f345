//! How much a peer may ask of us.

use std::time::Duration;

/// Largest request body that the daemons read, in bytes. Mesos knows no limit; a call larger than
/// this is answered with 413 so that one peer cannot take all memory.
pub const BODY: usize = 64 << 20;

/// Largest request or status line with its headers, in bytes. A peer that sends more is answered
/// 431 and loses the connection.
pub const HEADERS: usize = 64 << 10;

/// How long a request's headers may take from their first byte to their last. Between two requests
/// a connection may stay silent for ever: Mesos' own client libraries hold a spare connection open
/// and treat its end as the loss of the master.
pub const HEADERS_TIME: Duration = Duration::from_secs(60);

/// Connections that one listener holds at a time, unless it is told another number. Further ones
/// wait in the listener's own queue.
pub const CONNECTIONS: usize = 16_384;

/// What a new HTTP/2 stream or connection may send before we have read it, in bytes.
pub const HTTP2_WINDOW: u32 = 1 << 20;

/// Bytes that are gathered for one connection before its socket has taken them.
pub const WRITE_BUFFER: usize = 64 << 10;

/// After we have closed our direction of an HTTP/1.1 connection, how long what the peer still sends
/// is read and thrown away.
pub const LINGER: Duration = Duration::from_secs(2);
