//! `probabilistic`: a share of the traces, by a hash of the id.

use serde::Deserialize;

use crate::config::Block;
use crate::decision::{Decision, Input};

/// What the reference hashes before the id when no `hash_salt` is given.
const DEFAULT_SALT: &str = "default-hash-seed";

/// A share of all traces, those that the reference chooses: FNV-1a of the salt and the 16 bytes of the id, against a bound.
#[derive(Debug)]
pub struct Probabilistic {
    /// The hash of the salt, to go on from.
    salted: u64,
    /// Hashes up to here are kept.
    bound: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    sampling_percentage: f64,
    hash_salt: Option<String>,
}

impl Probabilistic {
    pub(super) fn read(block: Block) -> Result<Self, String> {
        let Settings { sampling_percentage, hash_salt } = block.settings()?;
        // More than 100 is all, as the reference documents it.
        if sampling_percentage < 0.0 {
            return Err(format!("sampling_percentage is {sampling_percentage}; give a number from 0 to 100"));
        }
        let salt = hash_salt.filter(|salt| !salt.is_empty());
        Ok(Probabilistic {
            salted: fnv_1a(FNV_OFFSET, salt.as_deref().unwrap_or(DEFAULT_SALT).as_bytes()),
            bound: share_of_max(sampling_percentage / 100.0),
        })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Decision {
        Decision::sampled_if(fnv_1a(self.salted, &input.trace.id()) <= self.bound)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a of 64 bits, going on from the hash of what was before.
fn fnv_1a(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// `ratio × (2^64 - 1)` in whole numbers, at most `u64::MAX`, to the bit as the reference computes it: the product is rounded to 64
/// binary digits (ties to even), then cut off after the point. Floating point of 64 bits would keep 53 digits only.
fn share_of_max(ratio: f64) -> u64 {
    if ratio >= 1.0 {
        return u64::MAX;
    }
    let bits = ratio.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as u32;
    // Below 2^-1022 the share is 0, whatever the digits.
    if exponent == 0 {
        return 0;
    }
    let digits = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let product = u128::from(u64::MAX) * digits;
    let excess = 64 - product.leading_zeros();
    let half = 1_u128 << (excess - 1);
    let (kept, rest) = (product >> excess, product & ((1 << excess) - 1));
    let rounded = kept + u128::from(rest > half || rest == half && kept & 1 == 1);
    // The number is `rounded / 2^scale`: a double's digits end at 2^-52, its exponent is stored with 1023 added.
    let scale = 1023 + 52 - exponent - excess;
    u64::try_from(rounded.checked_shr(scale).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
