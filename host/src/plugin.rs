//! WebAssembly components as exporters: the only stage that knows what a component is.
//!
//! - `engine`: one engine for all, and its clock. `bindings`: the contract, generated from `wit/`. `surface`: what of it this host has.
//! - `library`: bundled components and those in the plugin directory. `component`: from a file's bytes to something that can be started.
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
mod surface;

pub use component::Component;
pub use counters::{Counters, Denial};
pub use engine::Engine;
pub use grants::{DirGrant, Grants, HttpGrant};
pub use instance::Instance;
pub use library::{Bundled, Library};
pub use limits::{Limit, Limits};
