//! The seam to the component: generated bindings, and what the export macro expands to.
//!
//! Each optional interface has bindings of its own, generated from its own world. The toolchain unites all worlds whose
//! export macros a component uses, so a plugin exports exactly what it named and needs no WIT of its own.

use std::cell::RefCell;

use crate::{Batch, Exporter, Filter, Level, Outcome, Report, State, log};

/// Bindings of world `exporter`: all imports, all types, and the exporter's exports.
#[allow(missing_docs)]
pub mod exporter {
    wit_bindgen::generate!({
        world: "exporter",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_trace_exporter",
        additional_derives: [PartialEq],
        // The filter's records too: its bindings use the types of these.
        generate_unused_types: true,
    });
}

/// Bindings of world `filter`: its exports. Imports and types are those of [`exporter`].
#[allow(missing_docs)]
pub mod filter {
    wit_bindgen::generate!({
        world: "filter",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_trace_filter",
        with: {
            "meshtrace:plugin/types@0.1.0": crate::glue::exporter::meshtrace::plugin::types,
            "meshtrace:plugin/traces@0.1.0": crate::glue::exporter::meshtrace::plugin::traces,
            "meshtrace:plugin/spans@0.1.0": crate::glue::exporter::meshtrace::plugin::spans,
            "meshtrace:plugin/resources@0.1.0": crate::glue::exporter::meshtrace::plugin::resources,
            "meshtrace:plugin/attributes@0.1.0": crate::glue::exporter::meshtrace::plugin::attributes,
            "meshtrace:plugin/events@0.1.0": crate::glue::exporter::meshtrace::plugin::events,
            "meshtrace:plugin/links@0.1.0": crate::glue::exporter::meshtrace::plugin::links,
            "meshtrace:plugin/strings@0.1.0": crate::glue::exporter::meshtrace::plugin::strings,
            "meshtrace:plugin/encoded@0.1.0": crate::glue::exporter::meshtrace::plugin::encoded,
            "meshtrace:plugin/host-log@0.1.0": crate::glue::exporter::meshtrace::plugin::host_log,
            "meshtrace:plugin/metrics@0.1.0": crate::glue::exporter::meshtrace::plugin::metrics,
        },
    });
}

/// Bindings of world `reporting`.
#[allow(missing_docs)]
pub mod reporting {
    wit_bindgen::generate!({
        world: "reporting",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_report",
    });
}

/// Bindings of world `stateful`.
#[allow(missing_docs)]
pub mod stateful {
    wit_bindgen::generate!({
        world: "stateful",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_state",
    });
}

/// Where the one plugin of a component lives. Calls before a successful `init` are answered, not trapped on.
pub struct Slot<T>(RefCell<Option<T>>);

impl<T> Slot<T> {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Slot(RefCell::new(None))
    }

    /// Runs `f` on the plugin, if there is one.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, String> {
        match self.0.try_borrow_mut().ok().as_deref_mut() {
            Some(Some(plugin)) => Ok(f(plugin)),
            _ => Err("the plugin was called before its init had succeeded".to_owned()),
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slot<T> {
    /// `init`, given what the plugin's own answered.
    pub fn start(&self, made: Result<T, String>) -> Result<(), String> {
        let plugin = made?;
        self.0.try_borrow_mut().map_err(|_| "init was called while another call was running".to_owned())?.replace(plugin);
        Ok(())
    }

    /// `flush`, with the plugin's own.
    pub fn flush(&self, flush: impl FnOnce(&mut T) -> Result<(), String>) -> Result<(), String> {
        self.with(flush)?
    }
}

impl<T: Exporter> Slot<T> {
    /// `trace-exporter.export-batch`
    pub fn export(&self) -> Outcome {
        self.with(|plugin| plugin.export(&Batch::current())).unwrap_or_else(|reason| {
            log!(Level::Error, "{reason}");
            Outcome::Retry(1000)
        })
    }
}

impl<T: Filter> Slot<T> {
    /// `trace-filter.decide`
    pub fn decide(&self) -> Result<exporter::meshtrace::plugin::types::Decisions, String> {
        self.with(|plugin| plugin.decide(&Batch::current()))??.into_record()
    }
}

impl<T: Report> Slot<T> {
    /// `report.report`
    pub fn report(&self) -> Result<String, String> {
        self.with(T::report)?
    }
}

impl<T: State> Slot<T> {
    /// `state.snapshot`
    pub fn snapshot(&self) -> Vec<u8> {
        self.with(T::snapshot).unwrap_or_default()
    }

    /// `state.restore`
    pub fn restore(&self, snapshot: &[u8]) -> Result<(), String> {
        self.with(|plugin| plugin.restore(snapshot))?
    }
}

/// Makes the component of an [`Exporter`].
///
/// `export_exporter!(Type)`; with `report` and `state` after it when the type implements [`Report`] and [`State`]:
/// `export_exporter!(Type, report, state)`. Once per crate. Natively it only checks that the traits are there.
#[macro_export]
macro_rules! export_exporter {
    ($plugin:ty $(, $extra:ident)* $(,)?) => {
        const _: () = {
            const fn is_exporter<T: $crate::Exporter>() {}
            is_exporter::<$plugin>();
        };

        // Natively there is no component to make, and linkers choke on the export names.
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static SLOT: $crate::__private::Slot<$plugin> = const { $crate::__private::Slot::new() };
            }
            struct Component;

            impl $crate::__private::exporter::exports::meshtrace::plugin::trace_exporter::Guest for Component {
                fn describe() -> $crate::Description {
                    <$plugin as $crate::Exporter>::describe()
                }
                fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.start(<$plugin as $crate::Exporter>::init(&config)))
                }
                fn export_batch() -> $crate::Outcome {
                    SLOT.with(|slot| slot.export())
                }
                fn flush() -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.flush(<$plugin as $crate::Exporter>::flush))
                }
            }
            $crate::__private::exporter::export_trace_exporter!(Component with_types_in $crate::__private::exporter);
            $( $crate::__export_extra!($extra, Component, SLOT); )*
        };

        $( $crate::__check_extra!($extra, $plugin); )*
    };
}

/// Makes the component of a [`Filter`].
///
/// `export_filter!(Type)`; with `report` and `state` after it when the type implements [`Report`] and [`State`]:
/// `export_filter!(Type, report, state)`. Once per crate. Natively it only checks that the traits are there.
#[macro_export]
macro_rules! export_filter {
    ($plugin:ty $(, $extra:ident)* $(,)?) => {
        const _: () = {
            const fn is_filter<T: $crate::Filter>() {}
            is_filter::<$plugin>();
        };

        // Natively there is no component to make, and linkers choke on the export names.
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static SLOT: $crate::__private::Slot<$plugin> = const { $crate::__private::Slot::new() };
            }
            struct Component;

            impl $crate::__private::filter::exports::meshtrace::plugin::trace_filter::Guest for Component {
                fn describe() -> $crate::Description {
                    <$plugin as $crate::Filter>::describe()
                }
                fn init(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.start(<$plugin as $crate::Filter>::init(&config)))
                }
                fn decide() -> ::std::result::Result<$crate::__private::DecisionRecord, ::std::string::String> {
                    SLOT.with(|slot| slot.decide())
                }
                fn flush() -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| slot.flush(<$plugin as $crate::Filter>::flush))
                }
            }
            $crate::__private::filter::export_trace_filter!(Component with_types_in $crate::__private::filter);
            $( $crate::__export_extra!($extra, Component, SLOT); )*
        };

        $( $crate::__check_extra!($extra, $plugin); )*
    };
}

/// One optional interface of [`export_exporter!`] or [`export_filter!`], in the component.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_extra {
    (report, $component:ident, $slot:ident) => {
        impl $crate::__private::reporting::exports::meshtrace::plugin::report::Guest for $component {
            fn report() -> ::std::result::Result<::std::string::String, ::std::string::String> {
                $slot.with(|slot| slot.report())
            }
        }
        $crate::__private::reporting::export_report!($component with_types_in $crate::__private::reporting);
    };
    (state, $component:ident, $slot:ident) => {
        impl $crate::__private::stateful::exports::meshtrace::plugin::state::Guest for $component {
            fn snapshot() -> ::std::vec::Vec<u8> {
                $slot.with(|slot| slot.snapshot())
            }
            fn restore(snapshot: ::std::vec::Vec<u8>) -> ::std::result::Result<(), ::std::string::String> {
                $slot.with(|slot| slot.restore(&snapshot))
            }
        }
        $crate::__private::stateful::export_state!($component with_types_in $crate::__private::stateful);
    };
}

/// One optional interface of [`export_exporter!`] or [`export_filter!`], checked on every target.
#[doc(hidden)]
#[macro_export]
macro_rules! __check_extra {
    (report, $plugin:ty) => {
        const _: () = {
            const fn is_report<T: $crate::Report>() {}
            is_report::<$plugin>();
        };
    };
    (state, $plugin:ty) => {
        const _: () = {
            const fn is_state<T: $crate::State>() {}
            is_state::<$plugin>();
        };
    };
    ($other:ident, $plugin:ty) => {
        compile_error!(concat!("only `report` and `state` may follow the plugin's type, not `", stringify!($other), "`"));
    };
}
