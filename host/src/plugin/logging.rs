//! A plugin's lines in the host's log: what it logs, and what it writes to standard output and error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::bindings::meshtrace::plugin::host_log::Level;
use super::log_budget::Withheld;
use super::text::{head, visible};
use super::{Counters, Limit, Limits, Setup};

/// The log of one plugin, within its limits.
#[derive(Clone)]
pub(super) struct Log {
    plugin: Arc<str>,
    limits: Limits,
    counters: Arc<Counters>,
}

impl Log {
    pub fn new(setup: &Setup) -> Log {
        Log {
            plugin: Arc::clone(&setup.name),
            limits: setup.limits.clone(),
            counters: Arc::clone(&setup.counters),
        }
    }

    /// Writes a line, unless nobody wants to see its level. What is longer than messages may be is cut off.
    pub fn write(&self, level: Level, message: &str) {
        if !is_wanted(level) {
            return;
        }
        let max = self.limits.log_message_bytes;
        if message.len() > max {
            self.counters.hit(Limit::LogMessage);
        }
        let line = visible(head(message, max));
        let plugin = &*self.plugin;
        if self.counters.log_budget().spend(line.len(), self.limits.log_bytes_per_second, Instant::now()) {
            match level {
                Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
                Level::Warning => tracing::warn!(target: "plugin", plugin, "{line}"),
                Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
                Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
                Level::Trace => tracing::trace!(target: "plugin", plugin, "{line}"),
            }
        } else {
            self.counters.hit(Limit::LogRate);
        }
        self.tell();
    }

    /// Says how much was withheld, once a second at most. To be called now and then: a flood may end in silence.
    pub fn tell(&self) {
        let told = self.counters.log_budget().tell(Instant::now());
        if let Some(Withheld { lines, bytes }) = told {
            let limit = self.limits.words(Limit::LogRate);
            tracing::warn!(
                plugin = &*self.plugin,
                lines,
                bytes,
                "log lines of a plugin were withheld: it logs more in a second than its limit of {limit}"
            );
        }
    }
}

fn is_wanted(level: Level) -> bool {
    match level {
        Level::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
        Level::Warning => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        Level::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        Level::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        Level::Trace => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
    }
}

/// Standard output or error that goes to the log, line by line. A line that is longer than messages may be is several.
#[derive(Clone)]
pub(super) struct LogStream(Arc<Lines>);

struct Lines {
    log: Log,
    name: &'static str,
    level: Level,
    /// What has come since the last line ended.
    begun: Mutex<Vec<u8>>,
}

impl LogStream {
    pub fn stdout(log: &Log) -> LogStream {
        LogStream::new(log, "stdout", Level::Info)
    }

    pub fn stderr(log: &Log) -> LogStream {
        LogStream::new(log, "stderr", Level::Warning)
    }

    fn new(log: &Log, name: &'static str, level: Level) -> LogStream {
        LogStream(Arc::new(Lines {
            log: log.clone(),
            name,
            level,
            begun: Mutex::default(),
        }))
    }
}

impl Lines {
    fn take(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        // Room for the stream's name, and for the rest of a character.
        let room = self.log.limits.log_message_bytes.saturating_sub(self.name.len() + 2 + 3).max(1);
        for byte in bytes {
            let continues = (0x80..0xc0).contains(byte) && begun.len() < room + 3;
            if *byte == b'\n' || (begun.len() >= room && !continues) {
                self.end(&mut begun);
            }
            if *byte != b'\n' {
                begun.push(*byte);
            }
        }
    }

    fn end(&self, line: &mut Vec<u8>) {
        self.log.write(self.level, &format!("{}: {}", self.name, String::from_utf8_lossy(line)));
        line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut begun = std::mem::take(self.begun.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !begun.is_empty() {
            self.end(&mut begun);
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 guests ask for it, and they are not linked.
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the log gets when these bytes are written to a stream whose messages have `max` bytes at most.
    fn lines(max: usize, written: &[&[u8]]) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let writer = Said(Arc::clone(&said));
        let format = tracing_subscriber::fmt().with_ansi(false).without_time().with_level(false).with_target(false);
        let subscriber = format.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let log = Log {
                plugin: "p".into(),
                limits: Limits {
                    log_message_bytes: max,
                    ..Limits::default()
                },
                counters: Arc::default(),
            };
            let mut stream = LogStream::stdout(&log);
            for bytes in written {
                stream.write(Bytes::copy_from_slice(bytes)).expect("it is taken");
            }
        });
        let said = said.lock().expect("nobody panicked");
        let text = String::from_utf8(said.clone()).expect("UTF-8");
        text.lines().map(|line| line.strip_suffix(" plugin=\"p\"").expect("the plugin's name").to_owned()).collect()
    }

    #[derive(Clone)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_becomes_lines_however_it_is_cut() {
        assert_eq!(lines(100, &[b"one\ntw", b"o\n", b"\nthree"]), ["stdout: one", "stdout: two", "stdout: ", "stdout: three"]);
    }

    #[test]
    fn a_long_line_is_several_and_no_character_is_torn() {
        // Eleven bytes and a few for the rest of a character.
        assert_eq!(lines(22, &["abcdefghijklmno".as_bytes()]), ["stdout: abcdefghijk", "stdout: lmno"]);
        assert_eq!(lines(22, &["abcdefghijöklmnopqr".as_bytes()]), ["stdout: abcdefghijö", "stdout: klmnopqr"]);
        // What is no text is written as such, and then takes more room than it had.
        assert_eq!(lines(22, &[&[0x80; 30]]), ["stdout: ����", "stdout: ����", "stdout: ��"]);
    }

    #[test]
    fn nothing_hidden_reaches_the_log() {
        assert_eq!(lines(100, &[b"a\x1b[2Jb\xe2\x80\xaec\n"]), [r"stdout: a\u{1b}[2Jb\u{202e}c"]);
    }
}
