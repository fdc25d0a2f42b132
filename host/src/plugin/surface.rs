//! Which functions of the contract this host has, and what a component wants beyond them.

use wasmtime::component::types::{Component as ComponentType, ComponentItem};

include!(concat!(env!("OUT_DIR"), "/surface.rs"));

/// What is linked of WASI, by package; a test sees that it is. Its next series is another one, and so is what was never in a release of it.
const WASI_SERIES: &str = "0.2";
const WASI: [(&str, &[&str]); 7] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["preopens", "types"]),
    ("http", &["outgoing-handler", "types"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["insecure", "insecure-seed", "random"]),
    ("sockets", &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"]),
];

/// The contract's package.
const PACKAGE: &str = "meshtrace:plugin/";

/// What a component imports of the contract that this host does not have, in words; `None` when it has all.
pub(super) fn missing(component: &ComponentType, engine: &wasmtime::Engine) -> Option<String> {
    for (name, item) in component.imports(engine) {
        let Some((interface, version)) = name.strip_prefix(PACKAGE).map(|rest| rest.split_once('@').unwrap_or((rest, "?"))) else {
            match foreign(name) {
                Some(wrong) => return Some(wrong),
                None => continue,
            }
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

/// What is wrong with an import that is not of the contract, in words; `None` when it is of WASI, and this host has it.
fn foreign(name: &str) -> Option<String> {
    let expected = || {
        let packages: Vec<&str> = WASI.iter().map(|(package, _)| *package).collect();
        format!("a plugin may import meshtrace:plugin, and of WASI {WASI_SERIES}: {}", packages.join(", "))
    };
    let Some(wasi) = name.strip_prefix("wasi:") else { return Some(format!("it imports {name:?}; {}", expected())) };
    let (interface, version) = wasi.split_once('@').unwrap_or((wasi, ""));
    let (package, interface) = interface.split_once('/').unwrap_or((interface, ""));
    let Some((_, interfaces)) = WASI.iter().find(|(own, _)| *own == package) else {
        return Some(format!("it imports {name:?}, which this host does not offer; {}", expected()));
    };
    if series(version) != WASI_SERIES || version.contains('-') {
        let target = "build it for WASI 0.2, as --target wasm32-wasip2 does";
        return Some(format!("it imports {name:?}, of a WASI that this host does not have: it has WASI {WASI_SERIES}; {target}"));
    }
    let known = interfaces.contains(&interface);
    (!known).then(|| format!("it imports {name:?}, which this host does not offer; of wasi:{package} it has {}", interfaces.join(", ")))
}

/// The first two numbers of a version.
fn series(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(end, _)| &version[..end])
}

/// 0.1 plugins run on every 0.1 host: what they need was looked at function by function.
fn compatible(version: &str) -> bool {
    series(version) == series(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Compiler, Engine};

    /// Why a component is refused that imports an interface of this name, without anything in it.
    fn refused(import: &str) -> Option<String> {
        let text = format!("(component (import {import:?} (instance)))");
        let compiler = Compiler::new(Engine::new().expect("an engine"), None);
        let refused = compiler.component("p", &wat::parse_str(text).expect("a component")).expect_err("it exports nothing");
        let reason = format!("{refused:#}");
        (!reason.contains("expected meshtrace:plugin/trace-exporter")).then_some(reason)
    }

    // What each item of `wit/` is called, and whether it has a doc comment.
    include!(concat!(env!("OUT_DIR"), "/explained.rs"));

    #[test]
    fn every_item_of_the_contract_says_what_it_means() {
        let silent: Vec<&str> = EXPLAINED.iter().filter(|(_, explained)| !explained).map(|(name, _)| *name).collect();
        assert_eq!(silent, [""; 0]);
        for item in [
            "the package",
            "world exporter",
            "interface traces",
            "traces.count",
            "types.edit-target",
            "types.edit-target.span",
            "host-log.level.info",
        ] {
            assert!(EXPLAINED.iter().any(|(name, _)| *name == item), "{item} is not looked at");
        }
    }

    #[test]
    fn what_no_host_offers_is_refused_in_plain_words() {
        let expected = "a plugin may import meshtrace:plugin, and of WASI 0.2: cli, clocks, filesystem, http, io, random, sockets";
        for (import, why) in [
            ("wasi:nn/tensor@0.2.0", format!("which this host does not offer; {expected}")),
            ("evil:kitchen/toaster@1.0.0", expected.to_owned()),
            (
                "wasi:http/types@0.3.0",
                "of a WASI that this host does not have: it has WASI 0.2; build it for WASI 0.2, as --target wasm32-wasip2 does".into(),
            ),
            ("wasi:cli/environment@0.2.0-rc-2023-12-05", "of a WASI that this host does not have: it has WASI 0.2; build it".into()),
            ("wasi:clocks/timezone@0.2.0", "which this host does not offer; of wasi:clocks it has monotonic-clock, wall-clock".into()),
        ] {
            let reason = refused(import).expect(import);
            let begin = format!("plugin \"p\" does not fit this host: it imports {import:?}");
            assert!(reason.starts_with(&begin) && reason.contains(&why), "{import}: {reason}");
        }
    }

    #[test]
    fn what_is_said_to_be_linked_is() {
        let engine = Engine::new().expect("an engine");
        let linker = crate::plugin::component::linker(&engine).expect("a linker");
        for (package, interfaces) in WASI {
            for interface in interfaces {
                let import = format!("wasi:{package}/{interface}@0.2.0");
                assert_eq!(refused(&import), None, "{import}");
                let text = format!("(component (import {import:?} (instance)))");
                let component =
                    wasmtime::component::Component::new(&engine.wasmtime, wat::parse_str(text).expect("a component")).expect("a component");
                assert!(linker.instantiate_pre(&component).is_ok(), "{import} is not linked");
            }
        }
    }
}
