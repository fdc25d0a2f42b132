//! Guests written by hand, for what no compiler would make. The host's own unit tests use them too.

/// The exporter that a core module makes, given as WebAssembly text. It exports `memory`, `cabi_realloc` and the four functions of an exporter,
/// each of which answers with the address of what it answers.
pub fn exporter(module: &str) -> Vec<u8> {
    exporter_with(module, "")
}

/// The same, with more parts of the component.
pub fn exporter_with(module: &str, more: &str) -> Vec<u8> {
    let module = module.trim().strip_prefix("(module").expect("a module");
    let text = format!("(component (core module $module {module} {EXPORTER} {more})");
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// What is around the module: its functions with the contract's types, in an instance that exports those types under their names.
const EXPORTER: &str = r#"
  (core instance $guest (instantiate $module))
  (alias core export $guest "memory" (core memory $memory))
  (alias core export $guest "cabi_realloc" (core func $realloc))
  (type $description (record (field "name" string) (field "version" string) (field "config-schema" string) (field "parallel" bool)))
  (type $row (record (field "trace" u32) (field "retry-after-ms" (option u32)) (field "reason" string)))
  (type $outcome (variant (case "delivered") (case "retry" u32) (case "rejected" string) (case "partial" (list $row))))
  (func $describe (result $description) (canon lift (core func $guest "describe") (memory $memory)))
  (func $init (param "config" string) (result (result (error string)))
    (canon lift (core func $guest "init") (memory $memory) (realloc $realloc)))
  (func $export-batch (result $outcome) (canon lift (core func $guest "export-batch") (memory $memory)))
  (func $flush (result (result (error string))) (canon lift (core func $guest "flush") (memory $memory)))

  (component $interface
    (type $description' (record (field "name" string) (field "version" string) (field "config-schema" string) (field "parallel" bool)))
    (import "type-description" (type $description (eq $description')))
    (type $row' (record (field "trace" u32) (field "retry-after-ms" (option u32)) (field "reason" string)))
    (import "type-row" (type $row (eq $row')))
    (type $outcome' (variant (case "delivered") (case "retry" u32) (case "rejected" string) (case "partial" (list $row))))
    (import "type-outcome" (type $outcome (eq $outcome')))
    (import "func-describe" (func $describe (result $description)))
    (import "func-init" (func $init (param "config" string) (result (result (error string)))))
    (import "func-export-batch" (func $export-batch (result $outcome)))
    (import "func-flush" (func $flush (result (result (error string)))))
    (export $named-description "description" (type $description))
    (export $named-row "row-outcome" (type $row))
    (type $outcome'' (variant (case "delivered") (case "retry" u32) (case "rejected" string) (case "partial" (list $named-row))))
    (export $named-outcome "outcome" (type $outcome''))
    (export "describe" (func $describe) (func (result $named-description)))
    (export "init" (func $init) (func (param "config" string) (result (result (error string)))))
    (export "export-batch" (func $export-batch) (func (result $named-outcome)))
    (export "flush" (func $flush) (func (result (result (error string))))))

  (instance $exporter (instantiate $interface
    (with "type-description" (type $description)) (with "type-row" (type $row)) (with "type-outcome" (type $outcome))
    (with "func-describe" (func $describe)) (with "func-init" (func $init))
    (with "func-export-batch" (func $export-batch)) (with "func-flush" (func $flush))))
  (export "meshtrace:plugin/trace-exporter@0.1.0" (instance $exporter))
"#;
