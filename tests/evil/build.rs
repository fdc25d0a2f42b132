//! Writes the bindings of a later contract: this one with another version and a getter more.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

const TRACES: &str = "interface traces {";
const TOMORROW: &str = "interface traces {\n  /// What no host has.\n  tomorrow: func() -> u32;\n";

fn main() -> Result<(), Box<dyn Error>> {
    let wit = Path::new("../../wit");
    println!("cargo::rerun-if-changed={}", wit.display());
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let later = out.join("wit");
    fs::create_dir_all(&later)?;
    for entry in fs::read_dir(wit)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?.replace("meshtrace:plugin@0.1.0", "meshtrace:plugin@0.1.9");
        fs::write(later.join(entry.file_name()), text.replace(TRACES, TOMORROW))?;
    }
    let bindings = format!("wit_bindgen::generate!({{ path: {later:?}, world: \"exporter\", generate_unused_types: false }});");
    Ok(fs::write(out.join("later.rs"), bindings)?)
}
