//! What a plugin says about itself.

use super::bindings::meshtrace::plugin::types::Description;
use super::text::Reader;

/// A plugin's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its own name, for people; the instance is named by its file.
    pub name: String,
    /// Its own version, for people.
    pub version: String,
    /// JSON Schema of its config; `None` when it gives none.
    pub config_schema: Option<String>,
    /// Whether several instances may run side by side.
    pub parallel: bool,
}

impl About {
    pub(super) fn read(description: Description, reader: Reader<'_>) -> About {
        let Description { name, version, config_schema, parallel } = description;
        About {
            name: reader.read(name),
            version: reader.read(version),
            config_schema: Some(config_schema).filter(|schema| !schema.trim().is_empty()),
            parallel,
        }
    }
}
