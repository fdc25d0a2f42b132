//! meshtrace: a host for WebAssembly trace plugins beside MCP Mesh.
//!
//! Five modules are the stages. In the order of the flow they are
//! `source` → `decode` → `correlate` → `filter` → `export` (→ receipts back to `source`), with `store` and `api` beside them,
//! `batch` between `filter` and `export`, `plugin` behind both, and `app`, the only one that knows them all. `docs/ARCHITECTURE.md` has the rest.

#![deny(clippy::print_stdout)] // `cli::print` does not panic when nobody reads.

pub mod api;
pub mod app;
pub mod batch;
pub mod blame;
pub mod budget;
pub mod cli;
pub mod config;
pub mod correlate;
pub mod decode;
pub mod demo;
pub mod encode;
pub mod export;
pub mod exporters;
pub mod farewell;
pub mod filter;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod go_duration;
pub mod model;
pub mod patience;
mod places;
pub mod plugin;
pub mod secret;
pub mod source;
pub mod store;
pub mod tasks;
pub mod toml_error;
