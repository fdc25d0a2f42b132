//! The config that `init` takes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ready;

/// Rules are kept as the bits of one word.
pub const MAX_RULES: usize = 64;
/// Patterns and expressions of all rules together: each takes memory, and time for every text.
const MAX_EXPRESSIONS: usize = 256;
/// Globs of all rules together.
const MAX_GLOBS: usize = 1024;
/// Size of one expression or glob.
const MAX_EXPRESSION_BYTES: usize = 4096;
/// Size of one mask: it may stand many times in one text.
const MAX_MASK_BYTES: usize = 64;
/// A shorter key could be guessed, and then every hash.
const MIN_HASH_KEY_BYTES: usize = 16;

/// What stands for a secret unless the rule says otherwise.
pub const DEFAULT_MASK: &str = "***";

/// The config, checked.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// At least one, at most 64.
    pub rules: Vec<RuleConfig>,
    /// What hashes are keyed with.
    pub hash_key: Option<Vec<u8>>,
}

/// One rule: where to look, what for, and what to do.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Globs of the keys that it is about; none = any key, and texts without one.
    pub keys: Vec<String>,
    /// Globs of keys that it leaves alone.
    pub except: Vec<String>,
    /// Names of ready patterns.
    pub patterns: Vec<String>,
    /// Expressions of the operator's own.
    pub regex: Vec<String>,
    /// Where it looks.
    #[serde(rename = "in")]
    pub places: Vec<Place>,
    /// What is done with what it finds.
    pub action: Action,
    /// What stands in its place.
    pub mask: Option<String>,
}

/// Where a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Keys and values of the spans' attributes.
    Attributes,
    /// Error texts.
    Errors,
    /// Names of operations.
    Names,
}

/// What is done with what a rule finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A fixed text stands in its place.
    #[default]
    Mask,
    /// Its hash stands in its place.
    Hash,
    /// The value that holds it goes.
    Remove,
}

impl Default for RuleConfig {
    fn default() -> Self {
        RuleConfig {
            keys: Vec::new(),
            except: Vec::new(),
            patterns: Vec::new(),
            regex: Vec::new(),
            places: vec![Place::Attributes, Place::Errors, Place::Names],
            action: Action::Mask,
            mask: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    rules: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    hash_key: Option<String>,
    #[serde(default)]
    hash_key_env: Option<String>,
}

impl Config {
    /// Reads the config's JSON. `env` answers for environment variables.
    ///
    /// # Errors
    /// Says which key is wrong, what was given and what is allowed.
    pub fn parse(json: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        // Through a map, as serde would take a list for a struct as well.
        let object = serde_json::from_str::<Map<String, Value>>(json);
        let given: Given = object.and_then(|object| serde_json::from_value(Value::Object(object))).map_err(|error| {
            format!(r#"redact config: {error}. It takes {{"rules": [rule, …], "hash_key": text, "hash_key_env": name of a variable}}"#)
        })?;
        let rules = match given.rules {
            None => standard(),
            Some(rules) => rules.into_iter().enumerate().map(|(at, rule)| RuleConfig::read(at, rule)).collect::<Result<_, _>>()?,
        };
        check_counts(&rules)?;
        let hash_key = hash_key(given.hash_key, given.hash_key_env, env)?;
        if hash_key.is_some() && rules.iter().all(|rule| rule.action != Action::Hash) {
            return Err(
                "redact config: a hash key is given, and no rule has \"action\": \"hash\"; add one, or leave the key out".to_owned()
            );
        }
        Ok(Config { rules, hash_key })
    }
}

impl RuleConfig {
    fn read(at: usize, rule: Map<String, Value>) -> Result<Self, String> {
        let rule: RuleConfig =
            serde_json::from_value(Value::Object(rule)).map_err(|error| format!("redact config: rules[{at}]: {error}"))?;
        rule.check().map_err(|error| format!("redact config: rules[{at}]: {error}"))?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), String> {
        if self.keys.is_empty() && self.patterns.is_empty() && self.regex.is_empty() {
            return Err("there is nothing to look for; give \"keys\", \"patterns\" or \"regex\"".to_owned());
        }
        if self.places.is_empty() {
            return Err("\"in\" is empty; name some of \"attributes\", \"errors\", \"names\", or leave it out for all of them".to_owned());
        }
        if let Some(unknown) = self.patterns.iter().find(|name| ready::named(name).is_none()) {
            return Err(format!("patterns: {unknown:?} is no ready pattern; there are {}", ready::names().join(", ")));
        }
        for (key, texts) in [("keys", &self.keys), ("except", &self.except), ("regex", &self.regex)] {
            if let Some(text) = texts.iter().find(|text| !(1..=MAX_EXPRESSION_BYTES).contains(&text.len())) {
                return Err(format!("{key}: an entry has {} bytes; it may have 1 to {MAX_EXPRESSION_BYTES}", text.len()));
            }
        }
        match &self.mask {
            Some(_) if self.action == Action::Hash => {
                Err("\"mask\" means nothing with \"action\": \"hash\"; leave one of them out".to_owned())
            }
            Some(mask) if mask.len() > MAX_MASK_BYTES => {
                Err(format!("mask has {} bytes; it may have {MAX_MASK_BYTES}, as it may stand many times in one text", mask.len()))
            }
            _ => Ok(()),
        }
    }
}

/// The rule of an empty config: every ready pattern, masked everywhere.
fn standard() -> Vec<RuleConfig> {
    vec![RuleConfig {
        patterns: vec![ready::ALL.to_owned()],
        ..RuleConfig::default()
    }]
}

fn check_counts(rules: &[RuleConfig]) -> Result<(), String> {
    if rules.is_empty() {
        return Err(
            "redact config: rules is empty, so nothing would be redacted; leave it out to have every ready pattern masked".to_owned()
        );
    }
    let expressions = rules.iter().map(|rule| rule.patterns.len() + rule.regex.len()).sum::<usize>();
    let globs = rules.iter().map(|rule| rule.keys.len() + rule.except.len()).sum::<usize>();
    let counts = [
        ("rules", rules.len(), MAX_RULES),
        ("patterns and regex of all rules", expressions, MAX_EXPRESSIONS),
        ("keys and except of all rules", globs, MAX_GLOBS),
    ];
    match counts.into_iter().find(|(_, count, most)| count > most) {
        Some((what, count, most)) => Err(format!("redact config: {what}: {count} are given, {most} are allowed")),
        None => Ok(()),
    }
}

fn hash_key(plain: Option<String>, variable: Option<String>, env: impl Fn(&str) -> Option<String>) -> Result<Option<Vec<u8>>, String> {
    let key = match (plain, variable) {
        (Some(_), Some(_)) => return Err("redact config: hash_key and hash_key_env are both given; give one of them".to_owned()),
        (Some(key), None) => key,
        (None, Some(name)) => env(&name).ok_or_else(|| {
            format!("redact config: hash_key_env names {name:?}, and the plugin sees no such variable; set it, and grant it to the plugin")
        })?,
        (None, None) => return Ok(None),
    };
    if key.len() < MIN_HASH_KEY_BYTES {
        return Err(format!("redact config: the hash key has {} bytes; give at least {MIN_HASH_KEY_BYTES}, random ones", key.len()));
    }
    Ok(Some(key.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        Config::parse(json, |name| (name == "KEY").then(|| "0123456789abcdef".to_owned()))
    }

    #[test]
    fn an_empty_config_masks_every_ready_pattern_everywhere() {
        let config = parse("{}").unwrap();
        let rule = RuleConfig {
            patterns: vec!["all".into()],
            places: vec![Place::Attributes, Place::Errors, Place::Names],
            action: Action::Mask,
            ..RuleConfig::default()
        };
        assert_eq!((config.rules, config.hash_key), (vec![rule], None));
    }

    #[test]
    fn every_setting_is_read() {
        let config = parse(
            r#"{"rules":[{"keys":["a*"],"except":["ab"],"patterns":["email"],"regex":["x+"],"in":["errors"],"action":"hash"},
                {"keys":["b"],"action":"remove","mask":""}],"hash_key_env":"KEY"}"#,
        )
        .unwrap();
        let rule = RuleConfig {
            keys: vec!["a*".into()],
            except: vec!["ab".into()],
            patterns: vec!["email".into()],
            regex: vec!["x+".into()],
            places: vec![Place::Errors],
            action: Action::Hash,
            mask: None,
        };
        assert_eq!((&config.rules[0], config.hash_key.as_deref()), (&rule, Some(&b"0123456789abcdef"[..])));
        assert_eq!((config.rules[1].action, config.rules[1].mask.as_deref()), (Action::Remove, Some("")));
    }

    #[test]
    fn mistakes_are_named() {
        let long = "x".repeat(65);
        let mistakes = [
            ("[]", "invalid type: sequence"),
            (r#"{"rule":[]}"#, "unknown field `rule`, expected one of `rules`, `hash_key`, `hash_key_env`"),
            (r#"{"rules":[]}"#, "rules is empty"),
            (r#"{"rules":[["password"]]}"#, "invalid type: sequence, expected a map"),
            (r#"{"rules":[{"keys":["a"]},{"key":["a"]}]}"#, "rules[1]: unknown field `key`, expected one of `keys`"),
            (r#"{"rules":[{}]}"#, r#"rules[0]: there is nothing to look for; give "keys", "patterns" or "regex""#),
            (r#"{"rules":[{"patterns":["emial"]}]}"#, r#"rules[0]: patterns: "emial" is no ready pattern; there are all, email, "#),
            (r#"{"rules":[{"keys":["a"],"in":[]}]}"#, r#"rules[0]: "in" is empty"#),
            (r#"{"rules":[{"keys":["a"],"in":["spans"]}]}"#, "unknown variant `spans`, expected one of `attributes`, `errors`, `names`"),
            (r#"{"rules":[{"keys":["a"],"action":"drop"}]}"#, "unknown variant `drop`, expected one of `mask`, `hash`, `remove`"),
            (r#"{"rules":[{"keys":["a"],"action":"hash","mask":"x"}]}"#, r#""mask" means nothing with "action": "hash""#),
            (r#"{"rules":[{"keys":[""]}]}"#, "keys: an entry has 0 bytes; it may have 1 to 4096"),
            (r#"{"hash_key":"0123456789abcdef"}"#, "no rule has \"action\": \"hash\""),
            (r#"{"rules":[{"keys":["a"],"action":"hash"}],"hash_key":"short"}"#, "the hash key has 5 bytes; give at least 16"),
            (r#"{"rules":[{"keys":["a"],"action":"hash"}],"hash_key_env":"NONE"}"#, "names \"NONE\", and the plugin sees no such variable"),
            (r#"{"hash_key":"a","hash_key_env":"KEY"}"#, "both given"),
            (&format!(r#"{{"rules":[{{"keys":["a"],"mask":"{long}"}}]}}"#), "mask has 65 bytes; it may have 64"),
            (&format!(r#"{{"rules":[{}]}}"#, [r#"{"keys":["a"]}"#; 65].join(",")), "rules: 65 are given, 64 are allowed"),
        ];
        for (json, part) in mistakes {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with("redact config: ") && error.contains(part), "{json}: {error}");
        }
    }
}
