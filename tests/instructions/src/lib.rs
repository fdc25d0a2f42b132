//! The rooms of the host that an entry passes on its way to a decided trace, compiled by themselves: optimised, and without all that the host is besides.
//! With WebAssembly and HTTP in it, an optimised host takes minutes to compile, and nobody counts anything in those.
//!
//! It is the host's source, not a copy. Whoever lets one of these rooms use another one adds that here.

#![expect(unexpected_cfgs, reason = "only the host has a feature for fuzzing")]
#![expect(dead_code, reason = "what the logs alone use is here, too")]

#[path = "../../../host/src"]
mod host {
    pub mod budget;
    pub mod correlate;
    pub mod decode;
    pub mod encode;
    pub mod go_duration;
    pub mod model;
    pub mod source {
        //! What entries are handed on in, without the logs that they come from.

        mod batch;
        mod recalled;
        mod settlement;
        pub mod texts;

        pub use batch::{Batch, Beginning, Entry};
        pub use recalled::{DECISION_BYTES, PastDecision, Recalled};
        pub use settlement::{Fate, Settlement};
    }
    pub mod store;
}

pub use host::{budget, correlate, decode, encode, go_duration, model, source, store};
