//! WebAssembly components as exporters and filters: the only stage that knows what a component is.
//!
//! - `engine`: one engine for all, and its clock. `bindings`: the contract, generated from `wit/`. `surface`: what of it this host has.
//! - `library`: bundled components and those in the plugin directory. `manifest`: what a `.toml` says. `component`: from a file's bytes to something
//!   that can be started.
//! - `compile`: from WebAssembly to machine code, beside everything else. `cache`: machine code on disk.
//! - `manager`: keeps what runs in step with the directory, told by `watch`, by means of `loader`. `registry`: what people are told of it.
//! - `instance`: one plugin behind [`crate::export::Exporter`] or [`crate::filter::Filter`]. `running`: it, while it lives. `guest`: its calls.
//!   `guest_state`: what they see. `getters`: the current batch. `logging`: its lines. `convert`: what it answers. `failure`: what is said of it
//!   when it does not. `text`: its texts, made fit to be read.
//! - `check`: what a component is and wants, without running it.
//! - `setup`: what it is started with, `schema`: whether it takes that,
//!   `schema_size`: whether that can be told. `grants`: what it may do besides, `wasi`: how that is made
//!   so, `access`: what it was denied, `http`: the same over the network. `limits`: how much of everything, `limiter`: of
//!   memory, `log_budget`: of the log. `counters`: what is counted of it.
//!
//! Must never: let a guest's failure become the host's.

mod about;
mod access;
mod bindings;
mod cache;
mod check;
mod compile;
mod component;
mod convert;
mod counters;
mod engine;
mod failure;
mod getters;
mod grants;
mod guest;
mod guest_state;
mod http;
mod instance;
mod library;
mod limiter;
mod limits;
mod loader;
mod log_budget;
mod logging;
mod manager;
mod manifest;
mod registry;
mod running;
mod schema;
mod schema_size;
mod setup;
mod surface;
#[cfg(test)]
mod tests;
mod text;
mod wasi;
mod watch;
mod writing;

pub use about::About;
pub use cache::Cache;
pub use check::{Checked, Need, check};
pub use compile::{Compiler, Origin};
pub use component::{Component, Kind};
pub use counters::{Counters, Denial, Failed};
pub use engine::Engine;
pub use grants::{DirGrant, Grants, HttpGrant};
pub use instance::Instance;
pub use library::{Bundled, Found, Library, Source};
pub use limits::{Limit, Limits, Quantity};
pub use loader::{Given, Settings, Terms};
pub use manager::{Manager, Means};
pub use manifest::Manifest;
#[cfg(any(test, feature = "fuzz"))]
pub use manifest::fuzz_plugin_toml;
pub use registry::{Event, Loaded, Moment, Problem, Record, Registry};
pub use setup::Setup;
