//! `[limits]`: how much of everything it may use.

use std::time::Duration;

use serde::Deserialize;

use crate::go_duration;
use crate::plugin::Limits;

/// A number, or a text with a unit.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected a whole number or a text")]
enum Amount {
    Number(u64),
    Text(String),
}

macro_rules! limit_table {
    ($($field:ident: $read:ident),* $(,)?) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(super) struct LimitTable { $($field: Option<Amount>),* }

        impl LimitTable {
            /// The same as limits: defaults where nothing is said.
            ///
            /// # Errors
            /// What is not understood, and what is expected.
            pub fn limits(self) -> anyhow::Result<Limits> {
                let plain = Limits::default();
                Ok(Limits { $($field: match self.$field {
                    Some(amount) => $read(&amount).map_err(|expected| {
                        let key = stringify!($field).replace('_', "-");
                        let given = match amount { Amount::Number(number) => number.to_string(), Amount::Text(text) => format!("{text:?}") };
                        anyhow::anyhow!("limits.{key} = {given}: expected {expected}")
                    })?,
                    None => plain.$field,
                }),* })
            }
        }
    };
}

limit_table!(
    component_bytes: bytes,
    call_time: time,
    init_time: time,
    memory_bytes: bytes,
    table_elements: count,
    instances: count,
    log_bytes_per_second: bytes,
    log_message_bytes: bytes,
    result_bytes: bytes,
    text_bytes: bytes,
    handles: count,
    http_connections: count,
    http_time: time,
    http_request_bytes: bytes,
    http_response_bytes: bytes,
);

fn time(amount: &Amount) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a Go duration from 10ms to 24h, such as \"500ms\" or \"5s\"";
    let Amount::Text(text) = amount else { return Err(EXPECTED) };
    let range = Duration::from_millis(10)..=Duration::from_secs(24 * 3_600);
    go_duration::parse(text).ok().filter(|time| range.contains(time)).ok_or(EXPECTED)
}

fn count(amount: &Amount) -> Result<usize, &'static str> {
    match amount {
        Amount::Number(number) if (1..=u64::from(u32::MAX)).contains(number) => Ok(*number as usize),
        _ => Err("a whole number from 1 to 4294967295"),
    }
}

fn bytes(amount: &Amount) -> Result<usize, &'static str> {
    const EXPECTED: &str = "bytes, at least 1: a whole number, or a text such as \"64KiB\", \"256MiB\" or \"1GiB\"";
    let number = match amount {
        Amount::Number(number) => Some(*number),
        Amount::Text(text) => {
            let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("B", 0)];
            let parsed = |(unit, bits): (&str, u32)| text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(1 << bits);
            units.into_iter().find_map(parsed)
        }
    };
    number.filter(|number| (1..=1 << 40).contains(number)).map(|number| number as usize).ok_or(EXPECTED)
}
