//! Other people's rules, which would drop a pod's traffic.

use super::Tag;
use crate::Prefix;
use sandbox::Result;

/// Lets a pod's traffic through wherever others would drop it.
pub fn admit(tag: &Tag, addresses: &[Prefix]) -> Result<()> {
    let _ = (tag, addresses);
    Ok(())
}

/// Undoes [`admit`]; what is gone is undone.
pub fn remove(tag: &Tag) -> Result<()> {
    let _ = tag;
    Ok(())
}

/// Undoes it for every attachment of a network that is not valid any more.
pub fn collect(network: &str, valid: &[(String, String)]) -> Result<()> {
    let _ = (network, valid);
    Ok(())
}
