//! How a call failed, in words: which limit it was, its value, and the key that raises it.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use super::limiter::Refusal;
use super::{Limit, Setup};

/// How a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was ended from outside, while it waited in a host function.
    Late,
    /// The guest or a host function gave up.
    Ended(wasmtime::Error),
}

/// What the engine says of a guest that hands over too much; it has no type of its own for it.
const TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
/// The beginning of what the engine says of too many instances, tables or memories.
const TOO_MANY: &str = "resource limit exceeded";

impl Failure {
    /// Counts and explains it. `time` is the limit of the call's time, `refused` what the guest wanted of memory or tables and did not get.
    pub fn explain(&self, setup: &Setup, time: Limit, refused: Option<Refusal>) -> String {
        let over = |limit: Limit| {
            setup.counters.hit(limit);
            setup.limits.words(limit)
        };
        let late = || format!("it ran longer than its limit of {}", over(time));
        let error = match self {
            Failure::Late => return late(),
            Failure::Ended(error) => error,
        };
        // What an allocation that fails comes to is the guest's affair: mostly it aborts. The refusal has been counted.
        let refused = refused.map(|refused| format!("wanted {} than its limit of {}", refused.excess(), setup.limits.words(refused.limit)));
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return match (trap, refused) {
                (Trap::Interrupt, _) => late(),
                (Trap::StackOverflow, _) => {
                    format!("it called itself too deeply: its stack is larger than its limit of {}", over(Limit::Stack))
                }
                (Trap::UnreachableCodeReached, None) => "it panicked or aborted (its log may say why)".into(),
                (Trap::UnreachableCodeReached, Some(wanted)) => format!("it panicked or aborted after it {wanted}"),
                (other, None) => format!("it trapped: {other}"),
                (other, Some(wanted)) => format!("it trapped after it {wanted}: {other}"),
            };
        }
        if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
            return format!("it ended itself with exit status {status}");
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
            return format!("it holds more handles (streams, descriptors, pollables, requests) than its limit of {}", over(Limit::Handles));
        }
        let cause = error.root_cause().to_string();
        if cause.contains(TOO_MUCH) {
            return format!("it handed more to the host at once than its limit of {}", over(Limit::ResultBytes));
        }
        if cause.starts_with(TOO_MANY) {
            return format!("it consists of more instances, tables or memories than its limit of {}", over(Limit::Instances));
        }
        cause
    }
}

/// Why something that was refused its memory or tables could not even be instantiated.
pub(super) fn too_large(setup: &Setup, refused: Refusal) -> String {
    format!("it needs at least {}, its limit is {}", refused.total(), setup.limits.words(refused.limit))
}
