//! WebAssembly components as exporters: the only stage that knows what a component is.
//!
//! - `engine`: one engine for all, and its clock. `bindings`: the contract, generated from `wit/`. `surface`: what of it this host has.
//! - `library`: bundled components and those in the plugin directory. `manifest`: what a `.toml` says. `component`: from a file's bytes to something
//!   that can be started.
//! - `manager`: keeps what runs in step with the directory, told by `watch`, by means of `loader`. `registry`: what people are told of it.
//! - `instance`: one running component behind [`crate::export::Exporter`]. `guest_state`: what its calls see. `getters`: the current batch.
//! - `grants`: what it may do besides. `limits`: how much of everything.
//!
//! Must never: let a guest's failure become the host's.

mod bindings;
mod component;
mod counters;
mod engine;
mod getters;
mod grants;
mod guest_state;
mod instance;
mod library;
mod limiter;
mod limits;
mod loader;
mod manager;
mod manifest;
mod registry;
mod surface;
mod watch;

pub use component::Component;
pub use counters::{Counters, Denial};
pub use engine::Engine;
pub use grants::{DirGrant, Grants, HttpGrant};
pub use instance::Instance;
pub use library::{Bundled, Found, Library, Source};
pub use limits::{Limit, Limits};
pub use loader::Settings;
pub use manager::{Manager, Means};
pub use manifest::{Manifest, OnFailure};
pub use registry::{Event, Kind, Loaded, Moment, Problem, Record, Registry};
