//! Ids of sessions and connections: random, so that frontdoors need not agree on them.

/// 32 lower-case hex digits.
pub(super) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
