//! One instance while it lives: a store, what can be called in it, and how long that may take.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use wasmtime::{Store, Trap};

use super::engine::TICK;
use super::guest::Guest;
use super::guest_state::GuestState;
use super::{About, Component, Limit, Setup};

/// A call that is over its time limit is ended from outside this much later: a guest that computes is ended by the engine's clock, which is
/// rounded up to its ticks, and only one that waits in a host function is left for this.
const SLACK: Duration = TICK.saturating_mul(3);

/// A running instance. A call that fails ends it: what is left of it is dropped.
pub(super) struct Running {
    pub store: Store<GuestState>,
    guest: Guest,
    pub about: About,
}

impl Running {
    /// Instantiates, describes and initialises.
    ///
    /// # Errors
    /// What `init` says, or how starting failed; names the plugin.
    pub fn start(component: &Component, setup: &Setup) -> anyhow::Result<Running> {
        let name = &setup.name;
        let mut store = Store::new(&component.engine.wasmtime, GuestState::new(setup)?);
        store.limiter(|state| &mut state.limiter);
        let moment = Cell::new("starting");
        let begun = within(&setup.runtime, setup.limits.init_time, &mut store, async |store| {
            let instance = component.pre.instantiate_async(&mut *store).await?;
            let guest = component.exports.load(store, &instance)?;
            moment.set("describe");
            let about = About::from(guest.describe(store).await?);
            moment.set("init");
            let said = guest.init(store, &setup.config).await?;
            Ok((guest, about, said))
        });
        let (guest, about, said) = begun
            .map_err(|failure| anyhow!(failure.explain(setup, Limit::InitTime)))
            .with_context(|| format!("plugin {name:?} failed in {}", moment.get()))?;
        said.map_err(|reason| anyhow!("plugin {name:?} refused to start: {reason}"))?;
        Ok(Running { store, guest, about })
    }

    /// Calls the guest. An answer comes with the instance; a failure ends it.
    ///
    /// # Errors
    /// Why the call failed, and in which moment.
    pub fn call<T>(
        mut self,
        setup: &Setup,
        moment: Moment,
        call: impl AsyncFnOnce(&Guest, &mut Store<GuestState>) -> wasmtime::Result<T>,
    ) -> Result<(Running, T), String> {
        let (name, limit, time) = match moment {
            Moment::Usual(name) => (name, Limit::CallTime, setup.limits.call_time),
            Moment::Restore => ("restore", Limit::InitTime, setup.limits.init_time),
        };
        let Running { store, guest, .. } = &mut self;
        let start = Instant::now();
        let result = within(&setup.runtime, time, store, async |store| call(guest, store).await);
        setup.counters.called(start.elapsed());
        store.data_mut().batch = None;
        match result {
            Ok(value) => Ok((self, value)),
            Err(failure) => {
                tracing::debug!(plugin = %setup.name, moment = name, ?failure, "a call failed");
                Err(format!("{name}: {}", failure.explain(setup, limit)))
            }
        }
    }

    pub fn has_state(&self) -> bool {
        self.guest.has_state()
    }
}

/// When a call is made.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    /// In its life: the name of the call.
    Usual(&'static str),
    /// While it starts.
    Restore,
}

/// How a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was ended from outside.
    Late,
    /// The guest or a host function gave up.
    Ended(wasmtime::Error),
}

impl Failure {
    /// In words: the innermost cause, without the stack. `limit` is the one of the call's time.
    pub fn explain(&self, setup: &Setup, limit: Limit) -> String {
        let late = || format!("it ran longer than its limit of {}", setup.limits.words(limit));
        let error = match self {
            Failure::Late => return late(),
            Failure::Ended(error) => error,
        };
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => late(),
            Some(Trap::UnreachableCodeReached) => "it panicked or aborted (its log may say why)".into(),
            Some(other) => format!("it trapped: {other}"),
            None => error.root_cause().to_string(),
        }
    }
}

/// Runs `work` on this thread, and ends it when its time is over.
pub(super) fn within<T>(
    runtime: &Handle,
    limit: Duration,
    store: &mut Store<GuestState>,
    work: impl AsyncFnOnce(&mut Store<GuestState>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    let ticks = limit.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    match runtime.block_on(async { tokio::time::timeout(limit + SLACK, work(store)).await }) {
        Ok(result) => result.map_err(Failure::Ended),
        Err(_) => Err(Failure::Late),
    }
}
