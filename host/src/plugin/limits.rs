//! How much of everything an instance may use. Each limit has a name, by which it is set, counted and explained.

use std::fmt;
use std::time::Duration;

/// Limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the component's file. 64 MiB.
    pub component_bytes: usize,
    /// Wall time of one call into the guest, time that it sleeps or waits in host functions included. 5 s.
    pub call_time: Duration,
    /// Wall time of starting an instance: instantiation, `describe` and `init` together; and again of `restore`. 30 s.
    pub init_time: Duration,
    /// Bytes of linear memory, all of the instance's memories together. 256 MiB.
    pub memory_bytes: usize,
    /// Elements of tables, all of the instance's tables together. 100,000.
    pub table_elements: usize,
    /// Core instances, memories and tables of one component, each. 64: real ones have a handful.
    pub instances: usize,
    /// Bytes that a plugin may log in a second, all of its instances together, standard output and error included unless granted; a burst may
    /// be as large. 64 KiB.
    pub log_bytes_per_second: usize,
    /// Bytes of one log message; the rest of it is cut off. 16 KiB.
    pub log_message_bytes: usize,
    /// Bytes that a guest may hand to the host at once: an answer (an outcome, decisions with their edits, a report, a snapshot), or what it calls
    /// a host function with. 16 MiB.
    pub result_bytes: usize,
    /// Bytes of one text among them that people read: reasons, error texts. What is longer is cut off. 4 KiB.
    pub text_bytes: usize,
    /// Handles that an instance may hold at one time: streams, descriptors, pollables, requests. 1,024.
    pub handles: usize,
    /// HTTP requests under way at one time. 16.
    pub http_connections: usize,
    /// From the beginning of an HTTP request to the end of its answer's body. 30 s.
    pub http_time: Duration,
    /// Bytes of one HTTP request's body. 64 MiB.
    pub http_request_bytes: usize,
    /// Bytes of one HTTP answer's body. 4 MiB.
    pub http_response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Limits {
            component_bytes: 64 * MIB,
            call_time: Duration::from_secs(5),
            init_time: Duration::from_secs(30),
            memory_bytes: 256 * MIB,
            table_elements: 100_000,
            instances: 64,
            log_bytes_per_second: 64 * 1024,
            log_message_bytes: 16 * 1024,
            result_bytes: 16 * MIB,
            text_bytes: 4 * 1024,
            handles: 1_024,
            http_connections: 16,
            http_time: Duration::from_secs(30),
            http_request_bytes: 64 * MIB,
            http_response_bytes: 4 * MIB,
        }
    }
}

/// How much of everything the engine allows, for all plugins alike: bytes of WebAssembly stack.
pub(super) const STACK_BYTES: usize = 512 * 1024;

impl Limits {
    /// The value of one limit.
    pub fn value(&self, limit: Limit) -> Quantity {
        match limit {
            Limit::ComponentBytes => Quantity::Bytes(self.component_bytes),
            Limit::CallTime => Quantity::Time(self.call_time),
            Limit::InitTime => Quantity::Time(self.init_time),
            Limit::Memory => Quantity::Bytes(self.memory_bytes),
            Limit::TableElements => Quantity::Count(self.table_elements),
            Limit::Instances => Quantity::Count(self.instances),
            Limit::Stack => Quantity::Bytes(STACK_BYTES),
            Limit::LogRate => Quantity::Bytes(self.log_bytes_per_second),
            Limit::LogMessage => Quantity::Bytes(self.log_message_bytes),
            Limit::ResultBytes => Quantity::Bytes(self.result_bytes),
            Limit::TextBytes => Quantity::Bytes(self.text_bytes),
            Limit::Handles => Quantity::Count(self.handles),
            Limit::HttpConnections => Quantity::Count(self.http_connections),
            Limit::HttpTime => Quantity::Time(self.http_time),
            Limit::HttpRequestBytes => Quantity::Bytes(self.http_request_bytes),
            Limit::HttpResponseBytes => Quantity::Bytes(self.http_response_bytes),
        }
    }

    /// The limit in words, with the key that sets it: `256 MiB (limits.memory-bytes)`.
    pub(super) fn words(&self, limit: Limit) -> String {
        let value = self.value(limit);
        match limit {
            Limit::Stack => format!("{value}, which no setting changes"),
            _ => format!("{value} (limits.{})", limit.as_str()),
        }
    }
}

/// How much a limit allows. Shown with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Wall time.
    Time(Duration),
    /// Bytes.
    Bytes(usize),
    /// Things.
    Count(usize),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        match *self {
            Quantity::Time(time) if time.subsec_nanos() == 0 => write!(f, "{} s", time.as_secs()),
            Quantity::Time(time) => write!(f, "{} ms", time.as_millis()),
            Quantity::Bytes(bytes) if bytes > 0 && bytes.is_multiple_of(KIB * KIB) => write!(f, "{} MiB", bytes / KIB / KIB),
            Quantity::Bytes(bytes) if bytes > 0 && bytes.is_multiple_of(KIB) => write!(f, "{} KiB", bytes / KIB),
            Quantity::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Quantity::Count(count) => write!(f, "{count}"),
        }
    }
}

/// A limit's name, as it is set and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described where it is set, in `Limits`")]
pub enum Limit {
    ComponentBytes,
    CallTime,
    InitTime,
    Memory,
    TableElements,
    Instances,
    /// The engine's, for all plugins: 512 KiB of WebAssembly stack.
    Stack,
    LogRate,
    LogMessage,
    ResultBytes,
    TextBytes,
    Handles,
    HttpConnections,
    HttpTime,
    HttpRequestBytes,
    HttpResponseBytes,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 16] = [
        Limit::ComponentBytes,
        Limit::CallTime,
        Limit::InitTime,
        Limit::Memory,
        Limit::TableElements,
        Limit::Instances,
        Limit::Stack,
        Limit::LogRate,
        Limit::LogMessage,
        Limit::ResultBytes,
        Limit::TextBytes,
        Limit::Handles,
        Limit::HttpConnections,
        Limit::HttpTime,
        Limit::HttpRequestBytes,
        Limit::HttpResponseBytes,
    ];

    /// Its name in metrics and messages, which is its key under `[limits]`, if it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::ComponentBytes => "component-bytes",
            Limit::CallTime => "call-time",
            Limit::InitTime => "init-time",
            Limit::Memory => "memory-bytes",
            Limit::TableElements => "table-elements",
            Limit::Instances => "instances",
            Limit::Stack => "stack",
            Limit::LogRate => "log-bytes-per-second",
            Limit::LogMessage => "log-message-bytes",
            Limit::ResultBytes => "result-bytes",
            Limit::TextBytes => "text-bytes",
            Limit::Handles => "handles",
            Limit::HttpConnections => "http-connections",
            Limit::HttpTime => "http-time",
            Limit::HttpRequestBytes => "http-request-bytes",
            Limit::HttpResponseBytes => "http-response-bytes",
        }
    }
}
