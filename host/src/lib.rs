//! The host.
pub mod model;
pub mod source;
