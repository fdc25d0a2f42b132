//! The host.
pub mod correlate;
pub mod decode;
pub mod model;
pub mod source;
