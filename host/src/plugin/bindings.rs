//! The contract, generated from `wit/`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "meshtrace:plugin/exporter",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});

/// The optional interface `report`.
pub mod reporting {
    wasmtime::component::bindgen!({ path: "../wit", world: "meshtrace:plugin/reporting" });
}

/// The optional interface `state`.
pub mod stateful {
    wasmtime::component::bindgen!({ path: "../wit", world: "meshtrace:plugin/stateful" });
}
