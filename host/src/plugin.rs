//! WebAssembly components as exporters: the only stage that knows what a component is.
//!
//! - `engine`: one engine for all, and its clock. `bindings`: the contract, generated from `wit/`. `surface`: what of it this host has.
//! - `library`: bundled components and those in the plugin directory. `component`: from a file's bytes to something that can be started.
//! - `compile`: from WebAssembly to machine code, beside everything else. `cache`: machine code on disk.
//! - `instance`: one running component behind [`crate::export::Exporter`]. `guest_state`: what its calls see. `getters`: the current batch.
//! - `grants`: what it may do besides. `limits`: how much of everything.
//!
//! Must never: let a guest's failure become the host's.

mod bindings;
mod cache;
mod compile;
mod component;
mod engine;
mod getters;
mod grants;
mod guest_state;
mod instance;
mod library;
mod limiter;
mod limits;
mod surface;

pub use cache::Cache;
pub use compile::{Compiler, Origin};
pub use component::Component;
pub use engine::Engine;
pub use grants::{DirGrant, Grants};
pub use instance::Instance;
pub use library::{Bundled, Library};
pub use limits::Limits;
