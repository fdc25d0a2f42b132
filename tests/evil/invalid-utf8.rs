//! Answers an attack with a text that is none.

use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};

struct InvalidUtf8;

impl Exporter for InvalidUtf8 {
    fn describe() -> Description {
        Description::new("invalid-utf8", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(InvalidUtf8)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "invalid-utf8") {
            // SAFETY: none. Nothing here reads it as text; whether the host does is what is asked.
            return Outcome::Rejected(unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) });
        }
        evil::take_all(batch)
    }
}

export_exporter!(InvalidUtf8);
