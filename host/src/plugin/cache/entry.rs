//! The bytes of an entry: a head that says what the code is of, then the code.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};

/// A sha256.
pub(super) type Digest = [u8; 32];

/// What an entry begins with. The number is the version of this format.
const MAGIC: &[u8; 24] = b"meshtrace compiled v001\n";
const ENGINE: usize = MAGIC.len();
const WASM: usize = ENGINE + size_of::<Digest>();
const LENGTH: usize = WASM + size_of::<Digest>();
const CODE: usize = LENGTH + size_of::<u64>();
/// Bytes of the head.
pub(super) const HEAD_BYTES: usize = CODE + size_of::<Digest>();

/// What the names of entries end with.
pub(super) const SUFFIX: &str = ".compiled";

/// The sha256 of all `parts`, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// What entries of this format and engine have in common.
pub(super) fn engine_id(engine: &wasmtime::Engine) -> Digest {
    let mut hasher = Wide(Sha256::new_with_prefix(MAGIC));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Takes what is hashed into a sha256: 64 bits would be too few to tell what may be run.
struct Wide(Sha256);

impl Hasher for Wide {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: Digest = self.0.clone().finalize().into();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The file name of the entry of a component.
pub(super) fn name(engine: &Digest, wasm: &Digest) -> String {
    format!("{}{}{SUFFIX}", prefix(engine), hex(wasm))
}

/// What the names of all entries of an engine begin with.
pub(super) fn prefix(engine: &Digest) -> String {
    format!("{}-", hex(&engine[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What comes before `code` in its file.
pub(super) fn head(engine: &Digest, wasm: &Digest, code: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), engine, wasm, &(code.len() as u64).to_le_bytes(), &sha256(&[code])].concat()
}

/// The code in `file`, an entry of this component for this engine.
///
/// # Errors
/// Why it is not.
pub(super) fn code<'a>(file: &'a [u8], engine: &Digest, wasm: &Digest) -> Result<&'a [u8], &'static str> {
    let (head, code) = file.split_at_checked(HEAD_BYTES).ok_or("it is cut short")?;
    if head[..ENGINE] != *MAGIC {
        return Err("it is no entry of this version's format");
    }
    if head[ENGINE..WASM] != *engine {
        return Err("it was compiled by another engine");
    }
    if head[WASM..LENGTH] != *wasm {
        return Err("it was compiled from another component");
    }
    if head[LENGTH..CODE] != (code.len() as u64).to_le_bytes() {
        return Err("it is cut short, or longer than it was written");
    }
    if head[CODE..] != sha256(&[code]) {
        return Err("it is damaged: its sha256 is not the one that was written");
    }
    Ok(code)
}
