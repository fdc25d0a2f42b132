//! The expected numbers come from the reference's own functions, run with Go's `hash/fnv` and `math/big`.

use super::*;
use crate::testing::{asked_of_id, block, refusal};

fn of(settings: &str) -> Probabilistic {
    Probabilistic::read(block("probabilistic", settings)).unwrap()
}

fn percent(percentage: f64) -> Probabilistic {
    of(&format!(r#"{{"sampling_percentage":{percentage:e}}}"#))
}

#[test]
fn hashes_are_those_of_the_reference() {
    let ids = [1_u128, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, u128::MAX, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c];
    let cases = [
        (
            r#""hash_salt":"default-hash-seed""#,
            [16_254_957_729_900_898_954, 11_908_981_664_384_643_253, 1_711_019_809_656_077_869, 3_728_843_964_641_534_796],
        ),
        (
            r#""hash_salt":"my-salt""#,
            [7_959_616_958_859_997_177, 15_940_483_454_982_611_258, 8_348_242_308_961_502_774, 8_041_337_945_062_478_299],
        ),
        (
            r#""hash_salt":"ünïcode""#,
            [8_256_193_379_484_720_376, 15_124_558_209_610_094_067, 7_264_969_279_439_863_963, 10_627_264_985_044_108_678],
        ),
    ];
    for (salt, hashes) in cases {
        let rule = of(&format!(r#"{{"sampling_percentage":1,{salt}}}"#));
        assert_eq!(ids.map(|id| fnv_1a(rule.salted, &id.to_be_bytes())), hashes, "{salt}");
    }
}

#[test]
fn no_salt_and_an_empty_salt_are_the_default() {
    let default = of(r#"{"sampling_percentage":1,"hash_salt":"default-hash-seed"}"#).salted;
    for settings in [r#"{"sampling_percentage":1}"#, r#"{"sampling_percentage":1,"hash_salt":""}"#] {
        assert_eq!(of(settings).salted, default, "{settings}");
    }
}

#[test]
fn bounds_are_those_of_the_reference() {
    let cases = [
        (0.0, 0),
        (1e-300, 0),
        (1e-20, 0),
        (1e-17, 1),
        (0.0001, 18_446_744_073_709),
        (0.1, 18_446_744_073_709_551),
        (1.0, 184_467_440_737_095_519),
        (10.0, 1_844_674_407_370_955_263),
        (15.0, 2_767_011_611_056_432_639),
        (25.0, 4_611_686_018_427_387_903),
        (33.3, 6_142_765_776_545_279_999),
        (50.0, 9_223_372_036_854_775_807),
        (66.67, 12_298_444_273_942_159_359),
        (99.0, 18_262_276_632_972_455_935),
        (99.9999, 18_446_725_626_965_477_375),
        (99.999_999_999_999_99, 18_446_744_073_709_549_567),
        (100.0, u64::MAX),
        (250.0, u64::MAX),
        (1e40, u64::MAX),
    ];
    for (percentage, bound) in cases {
        assert_eq!(percent(percentage).bound, bound, "{percentage} %");
    }
}

#[test]
fn the_same_traces_are_kept() {
    // Ten thousand made-up ids: how many the reference keeps, and the number of the last that it keeps.
    for (percentage, kept, last) in [(1.0, 103, 9910), (10.0, 995, 9953), (50.0, 4998, 9996)] {
        let rule = percent(percentage);
        let found: Vec<u64> = (0..10_000).filter(|n| fnv_1a(rule.salted, &made_up_id(*n)) <= rule.bound).collect();
        assert_eq!((found.len(), found.last()), (kept, Some(&last)), "{percentage} %");
    }
}

fn made_up_id(n: u64) -> [u8; 16] {
    let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    (u128::from(x) << 64 | u128::from(x.wrapping_mul(31))).to_be_bytes()
}

#[test]
fn the_id_of_the_trace_is_asked() {
    // Its hash is 7196338103868501205, at 39.01 % of all; with the other salt 8463794894937143358, at 45.88 %.
    let cases = [
        (r#"{"sampling_percentage":39.02}"#, true),
        (r#"{"sampling_percentage":39.01}"#, false),
        (r#"{"sampling_percentage":45.89,"hash_salt":"my-salt"}"#, true),
        (r#"{"sampling_percentage":45.88,"hash_salt":"my-salt"}"#, false),
        (r#"{"sampling_percentage":100}"#, true),
        (r#"{"sampling_percentage":0}"#, false),
    ];
    for (settings, sampled) in cases {
        assert_eq!(asked_of_id("probabilistic", settings, "0123456789abcdef"), sampled, "{settings}");
    }
}

#[test]
fn mistakes_are_named() {
    assert_eq!(refusal("probabilistic", r#"{"sampling_percentage":-1}"#), "sampling_percentage is -1; give a number from 0 to 100");
    assert_eq!(refusal("probabilistic", "{}"), "missing field `sampling_percentage`");
    assert_eq!(
        refusal("probabilistic", r#"{"sampling_percentage":5,"hash_seed":1}"#),
        "unknown field `hash_seed`, expected `sampling_percentage` or `hash_salt`"
    );
}
