//! `README.md` says what is true of the settings.

use super::SETTINGS;

/// The variables of the table's rows, with the rows. After a variable, `_NAME` stands for one that ends so in place of its last word.
fn variables() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, table) = readme.split_once("\n| variable |").unwrap();
    let mut found = Vec::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let mut group = String::new();
        for name in row.split('|').nth(1).unwrap().split(',').map(|name| name.trim().trim_matches('`')) {
            let name = if name.starts_with('_') { format!("{group}{name}") } else { name.to_owned() };
            if group.is_empty() {
                group = name.rsplit_once('_').unwrap().0.to_owned();
            }
            found.push((name, row.to_owned()));
        }
    }
    found
}

#[test]
fn every_variable_is_in_the_readme_with_its_default() {
    let variables = variables();
    for setting in SETTINGS {
        let row = variables.iter().find(|(name, _)| name == setting.env);
        let (_, row) = row.unwrap_or_else(|| panic!("README.md has no row for {}", setting.env));
        // What is off unless somebody asks for it may say so by a dash.
        let default = if setting.default == "false" && !row.contains("`false`") { "–" } else { setting.default };
        assert!(row.contains(default), "{}: its default {default} is not in {row}", setting.env);
    }
}

#[test]
fn every_variable_of_the_readme_is_read() {
    // This one is the collector's own: it is granted to the plugin, and no setting.
    for (name, row) in variables().iter().filter(|(name, _)| name != "OTEL_EXPORTER_OTLP_HEADERS") {
        assert!(SETTINGS.iter().any(|setting| setting.env == name), "{name} is no setting: {row}");
    }
}
