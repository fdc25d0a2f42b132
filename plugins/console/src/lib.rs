//! The `console` exporter: traces as trees, or as one line each, on stdout.
//!
//! Whatever text a span carries is made safe before it is printed ([`meshtrace_plugin::text::sanitize`]): no control
//! character of an agent ever reaches the terminal. A batch is written at once; when stdout refuses it, the host offers
//! the batch again, so a line may come twice but never goes missing.

mod config;
mod line;
mod paint;
mod tree;

use std::io::{self, IsTerminal, Write};

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};

pub use config::{Color, Config};
pub use line::line;
pub use paint::Paint;
pub use tree::tree;

/// Longest text that is printed of an id, a name or an error, in bytes.
const MAX_TEXT_BYTES: usize = 500;

/// The exporter.
pub struct Console {
    pretty: bool,
    paint: Paint,
    /// Whether the last write failed: a closed stdout is reported once, not per batch.
    failing: bool,
}

impl Exporter for Console {
    fn describe() -> Description {
        Description::new("console", env!("CARGO_PKG_VERSION")).config_schema(include_str!("../config.schema.json"))
    }

    fn init(config: &str) -> Result<Self, String> {
        let config = Config::parse(config)?;
        let colored = match config.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => config.pretty && io::stdout().is_terminal(),
        };
        Ok(Console {
            pretty: config.pretty,
            paint: Paint::new(colored),
            failing: false,
        })
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        let text = self.render(batch);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => {
                self.failing = false;
                Outcome::Delivered
            }
            Err(error) => {
                if !self.failing {
                    log!(Level::Error, "stdout takes nothing ({error}); {} traces wait and are offered again", batch.len());
                }
                self.failing = true;
                Outcome::retry()
            }
        }
    }
}

impl Console {
    fn render(&self, batch: &Batch) -> String {
        let mut text = String::new();
        for trace in batch.traces() {
            if self.pretty {
                tree(&mut text, &trace, self.paint);
            } else {
                line(&mut text, &trace, self.paint);
            }
        }
        text
    }
}

export_exporter!(Console);
