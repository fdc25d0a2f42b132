//! How much the listener takes, from everybody together and from each one.

use std::time::Duration;

/// Bytes of one request (every argument and the lengths between them). A longer one is answered with a protocol error, and
/// its connection closed. The largest entry seen from a real agent has 5.5 kB.
pub const REQUEST_BYTES: usize = 4 << 20;

/// Arguments of one request: an entry has at most half as many fields. Agents send about 50.
pub const ARGUMENTS: usize = 8_192;

/// Bytes of a line typed by hand (an inline command), as Redis has it.
pub const INLINE_BYTES: usize = 64 << 10;

/// Arguments of a request before `AUTH`, where there is a password; as Redis has it.
pub const STRANGER_ARGUMENTS: usize = 10;

/// Bytes of an argument before `AUTH`, where there is a password; as Redis has it.
pub const STRANGER_ARGUMENT_BYTES: usize = 16 << 10;

/// Bytes that `ECHO` and `PING` send back, and that a connection's name may have: nothing else of a client's outlives its request.
pub const ECHO_BYTES: usize = 1 << 10;

/// Bytes of requests that every connection may have waiting for the rest of them; more comes out of [`Bounds::buffer_bytes`].
pub const INPUT_BYTES: usize = 16 << 10;

/// Bytes of replies that a connection may leave unread before its requests are left waiting. So a client may send some 10,000
/// `XADD`s, and more by what fits into the sockets, before it looks at the first answer.
pub const REPLY_BYTES: usize = 256 << 10;

/// After how much silence a client's system is asked whether it is still there, how long after that again, and how often before its connection is
/// given up: after two minutes it has its place no more.
pub const PROBES: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Entries handed on at once.
pub const BATCH_ENTRIES: usize = 1_000;

/// Bytes of keys and values after which a batch is closed: other connections wait while one is put together.
pub const BATCH_BYTES: usize = 1 << 20;

/// How often stream time is told while nothing comes.
pub const TICK: Duration = crate::source::TICK;

/// What an entry counts besides its keys and values: its place in the log, and 8 bytes a field.
pub const ENTRY_BYTES: usize = 128;

/// What an operator, or a test, may want otherwise.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes of entries held, from `XADD` until they are settled. Above it `XADD` is answered with `-OOM …` and the entry is
    /// counted as refused: agents drop such a span, they never wait. Default 64 MiB; about 90,000 entries of the usual size.
    pub held_bytes: usize,
    /// Connections at once. For one more, the one that has asked nothing for longest is told `-ERR max number of clients reached`, and closed. Default 256.
    pub connections: usize,
    /// Bytes of unfinished requests of all connections together, above the first 16 KiB of each. Default 32 MiB.
    pub buffer_bytes: usize,
    /// How long the rest of a request may take that has begun. Default 30 s. A connection that sends nothing may stay.
    pub request_timeout: Duration,
    /// How long a client may take to authenticate, where there is a password. Default 10 s.
    pub login_timeout: Duration,
    /// How long a client may take no byte of what it is sent. Default 10 s.
    pub write_timeout: Duration,
    /// How long, after a stop, entries that were accepted may take to be handed on. Default 5 s.
    pub stop_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            held_bytes: 64 << 20,
            connections: 256,
            buffer_bytes: 32 << 20,
            request_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
        }
    }
}
