//! Which functions of the contract this host has, and what a component wants beyond them.

use wasmtime::component::types::{Component as ComponentType, ComponentItem};

include!(concat!(env!("OUT_DIR"), "/surface.rs"));

/// The contract's package.
const PACKAGE: &str = "meshtrace:plugin/";

/// What a component imports of the contract that this host does not have, in words; `None` when it has all.
pub(super) fn missing(component: &ComponentType, engine: &wasmtime::Engine) -> Option<String> {
    for (name, item) in component.imports(engine) {
        let Some((interface, version)) = name.strip_prefix(PACKAGE).map(|rest| rest.split_once('@').unwrap_or((rest, "?"))) else {
            if name.starts_with("wasi:") {
                continue;
            }
            return Some(format!("it imports {name:?}; a plugin may import meshtrace:plugin and wasi interfaces"));
        };
        let versions = format!("it was built for meshtrace:plugin {version}, this host has {VERSION}");
        let Some((_, functions)) = SURFACE.iter().find(|(own, _)| *own == interface) else {
            return Some(format!("it imports the interface {interface:?}, which this host lacks: {versions}"));
        };
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        for (function, item) in instance.exports(engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) && !functions.contains(&function) {
                return Some(format!("it imports {interface}.{function}, which this host lacks: {versions}"));
            }
        }
        if !compatible(version) {
            return Some(versions);
        }
    }
    None
}

/// 0.1 plugins run on every 0.1 host: what they need was looked at function by function.
fn compatible(version: &str) -> bool {
    let series = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    series(version) == series(VERSION)
}
