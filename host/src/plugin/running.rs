//! One instance while it lives: a store, what can be called in it, and how long that may take.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use wasmtime::Store;

use super::engine::TICK;
use super::failure::{Failure, too_large};
use super::guest::Guest;
use super::guest_state::GuestState;
use super::{About, Component, Limit, Setup, schema};

/// A call that is over its time limit is ended from outside this much later: a guest that computes is ended by the engine's clock, which is
/// rounded up to its ticks, and only one that waits in a host function is left for this.
const SLACK: Duration = TICK.saturating_mul(3);

/// The first moment of an instance.
const INSTANTIATING: &str = "starting";

/// A running instance. A call that fails ends it: what is left of it is dropped.
pub(super) struct Running {
    pub store: Store<GuestState>,
    guest: Guest,
    pub about: About,
}

impl Running {
    /// Instantiates, describes, checks the config and initialises.
    ///
    /// # Errors
    /// What is wrong with the config, what `init` says, or how starting failed; names the plugin.
    pub fn start(component: &Component, setup: &Setup) -> anyhow::Result<Running> {
        Running::begin(component, setup, Until::Initialised)
    }

    /// What the component says about itself. The config is checked; nothing is initialised.
    ///
    /// # Errors
    /// What is wrong with the config, or how starting failed; names the plugin.
    pub fn describe(component: &Component, setup: &Setup) -> anyhow::Result<About> {
        Running::begin(component, setup, Until::Described).map(|running| running.about)
    }

    fn begin(component: &Component, setup: &Setup, until: Until) -> anyhow::Result<Running> {
        let name = &setup.name;
        let mut store = Store::new(&component.engine.wasmtime, GuestState::new(setup)?);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(setup.limits.result_bytes);
        let moment = Cell::new(INSTANTIATING);
        let begun = within(&setup.runtime, setup.limits.init_time, &mut store, async |store| {
            let instance = component.pre.instantiate_async(&mut *store).await?;
            let guest = component.exports.load(store, &instance)?;
            moment.set("describe");
            let about = About::read(guest.describe(store).await?, setup.reader());
            if let Some(Err(wrong)) = about.config_schema.as_ref().map(|schema| schema::check(schema, &setup.config)) {
                return Ok(Err(wrong));
            }
            if until == Until::Described {
                return Ok(Ok((guest, about)));
            }
            moment.set("init");
            let said = guest.init(store, &setup.config).await?;
            Ok(said.map(|()| (guest, about)).map_err(|reason| format!("refused to start: {}", setup.reader().read(reason))))
        });
        let begun = begun
            .map_err(|failure| match store.data().limiter.refused {
                Some(refused) if moment.get() == INSTANTIATING => anyhow!(too_large(setup, refused)),
                refused => anyhow!(failure.explain(setup, Limit::InitTime, refused)),
            })
            .with_context(|| format!("plugin {name:?} failed in {}", moment.get()))?;
        let (guest, about) = begun.map_err(|reason| anyhow!("plugin {name:?} {reason}"))?;
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
            Moment::Traces(name) | Moment::Beside(name) => (name, Limit::CallTime, setup.limits.call_time),
            Moment::Restore => ("restore", Limit::InitTime, setup.limits.init_time),
        };
        let Running { store, guest, .. } = &mut self;
        store.data_mut().limiter.refused = None;
        let start = Instant::now();
        let result = within(&setup.runtime, time, store, async |store| call(guest, store).await);
        setup.counters.called(start.elapsed());
        let state = store.data_mut();
        state.batch = None;
        state.log.tell();
        match result {
            Ok(value) => Ok((self, value)),
            Err(failure) => {
                tracing::debug!(plugin = %setup.name, call = name, ?failure, "a call failed");
                let reason = format!("{name}: {}", failure.explain(setup, limit, state.limiter.refused));
                match moment {
                    Moment::Traces(_) => setup.counters.failed(&reason),
                    Moment::Beside(_) | Moment::Restore => setup.counters.failed_beside(&reason),
                }
                Err(reason)
            }
        }
    }

    pub fn has_state(&self) -> bool {
        self.guest.has_state()
    }
}

/// How far a start goes.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Described,
    Initialised,
}

/// When a call is made.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    /// It is offered traces: the name of the call.
    Traces(&'static str),
    /// It is asked for something else: the name of the call.
    Beside(&'static str),
    /// While it starts.
    Restore,
}

/// Runs `work` on this thread, and ends it when its time is over.
fn within<T>(
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
