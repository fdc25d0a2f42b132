//! What a plugin says to the host: log lines and numbers of its own.

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Something an operator wants to know.
    Info,
    /// Something that helps to find a fault.
    Debug,
    /// Everything else.
    Trace,
}

/// Writes a line to the host's log, under the plugin's name; natively to stderr. The [`log!`](crate::log!) macro formats.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    {
        use crate::glue::exporter::meshtrace::plugin::host_log;
        let level = match level {
            Level::Error => host_log::Level::Error,
            Level::Warning => host_log::Level::Warning,
            Level::Info => host_log::Level::Info,
            Level::Debug => host_log::Level::Debug,
            Level::Trace => host_log::Level::Trace,
        };
        host_log::log(level, message);
    }
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a formatted line to the host's log: `log!(Level::Warning, "{n} files could not be read")`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($message:tt)+) => {
        $crate::log($level, &::std::format!($($message)+))
    };
}

/// The plugin's own numbers, shown under its name. Natively they go nowhere.
pub mod metrics {
    /// Adds to a counter, which starts at 0 with the instance. Names: `[a-z0-9_]`, at most 64 bytes.
    pub fn add(name: &str, amount: u64) {
        #[cfg(target_family = "wasm")]
        crate::glue::exporter::meshtrace::plugin::metrics::add(name, amount);
        #[cfg(not(target_family = "wasm"))]
        let _ = (name, amount);
    }

    /// Sets a gauge. Names as for [`add`].
    pub fn set(name: &str, value: f64) {
        #[cfg(target_family = "wasm")]
        crate::glue::exporter::meshtrace::plugin::metrics::set(name, value);
        #[cfg(not(target_family = "wasm"))]
        let _ = (name, value);
    }
}
