//! How much connections may take, and how long.

use std::time::Duration;

/// Bytes of a request's head, from its first line to the empty one; more is a 431.
pub const HEAD_BYTES: usize = 16 << 10;

/// Bytes of a request's path and query; more, in a head that is not too long itself, is a 414.
pub const URI_BYTES: usize = 8 << 10;

/// Bytes of a body that a request may announce; more is a 413. No route reads one.
pub const BODY_BYTES: u64 = 64 << 10;

/// Bytes that a client may still send after it was told to go, before it is not listened to any more.
pub const FAREWELL_BYTES: usize = 1 << 20;

/// What tests want otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at one time. For one more, the one that has asked nothing for longest is closed; if all are being answered, the new one is told
    /// 503. Default 256.
    pub connections: usize,
    /// How long a connection may ask nothing. Default 60 s.
    pub idle: Duration,
    /// How long a request's head may take from its first byte, and a TLS handshake. Default 10 s.
    pub head: Duration,
    /// How long a client may take no byte of its answer. Default 10 s.
    pub stall: Duration,
    /// How long an answer may take from the request's head to its last byte. Default 2 minutes.
    pub answer: Duration,
    /// How long a client that is told to go may take to see it. Default 1 s.
    pub farewell: Duration,
    /// How long answers under way may take when the host stops. Default 3 s.
    pub shutdown: Duration,
    /// Bytes of answers that clients have not taken yet, all together; beyond, an answer is a 503. Short ones do not count. Default 256 MiB.
    pub held_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 256,
            idle: Duration::from_secs(60),
            head: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            answer: Duration::from_secs(120),
            farewell: Duration::from_secs(1),
            shutdown: Duration::from_secs(3),
            held_bytes: 256 << 20,
        }
    }
}
