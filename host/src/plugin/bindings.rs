//! The contract, generated from `wit/`. Calls into guests are async: a guest that waits in a host function can be ended only from outside.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "meshtrace:plugin/exporter",
    imports: { default: trappable },
    exports: { default: async },
    additional_derives: [PartialEq],
});

/// The other kind of plugin: what it imports is the same.
pub mod filtering {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "meshtrace:plugin/filter",
        imports: { default: trappable },
        exports: { default: async },
        additional_derives: [PartialEq],
        with: {
            "meshtrace:plugin/types": super::meshtrace::plugin::types,
            "meshtrace:plugin/traces": super::meshtrace::plugin::traces,
            "meshtrace:plugin/spans": super::meshtrace::plugin::spans,
            "meshtrace:plugin/resources": super::meshtrace::plugin::resources,
            "meshtrace:plugin/attributes": super::meshtrace::plugin::attributes,
            "meshtrace:plugin/events": super::meshtrace::plugin::events,
            "meshtrace:plugin/links": super::meshtrace::plugin::links,
            "meshtrace:plugin/strings": super::meshtrace::plugin::strings,
            "meshtrace:plugin/encoded": super::meshtrace::plugin::encoded,
            "meshtrace:plugin/host-log": super::meshtrace::plugin::host_log,
            "meshtrace:plugin/metrics": super::meshtrace::plugin::metrics,
        },
    });
}

/// The optional interface `report`.
pub mod reporting {
    wasmtime::component::bindgen!({ path: "../wit", world: "meshtrace:plugin/reporting", exports: { default: async } });
}

/// The optional interface `state`.
pub mod stateful {
    wasmtime::component::bindgen!({ path: "../wit", world: "meshtrace:plugin/stateful", exports: { default: async } });
}
