//! Reading what a BMC really sends.
//!
//! Every property may be missing, null, empty, a placeholder or of another type than its schema says. Nothing of that may cost
//! the rest of a resource. So each field is read by one of the functions of this module, which turns what it cannot use into `None` and
//! counts it. When nothing was counted, as nearly always, one pass over the bytes was all. Otherwise the document is read again,
//! once per miss, with the n-th miss made an error, and the error's path names the field: no path is kept in the quick pass.
//!
//! It holds no knowledge of any resource.

mod attribute;
mod list;
mod object;
#[cfg(test)]
mod odd_tests;
mod scalar;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use serde::de::{self, DeserializeOwned};

pub(crate) use attribute::attributes;
pub use attribute::{AttributeValue, Attributes};
pub(crate) use list::{list, objects, texts};
pub(crate) use object::object;
pub(crate) use scalar::{Reading, Scalar, opt, verbatim};

/// Bad fields reported of one document. More say nothing new: the document is rotten.
const REPORTED: u32 = 8;

/// A field that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadField {
    pub(crate) path: String,
    pub(crate) why: String,
}

thread_local! {
    static MISSES: Cell<u32> = const { Cell::new(0) };
    static FAIL_AT: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// Reads a document and lists the fields that could not be used.
///
/// # Errors
/// When the bytes are no JSON object at all.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<BadField>), serde_json::Error> {
    MISSES.set(0);
    FAIL_AT.set(u32::MAX);
    let value = serde_json::from_slice(bytes)?;
    let misses = MISSES.get();
    let fields = (0..misses.min(REPORTED)).filter_map(|nth| nth_miss::<T>(bytes, nth)).collect();
    Ok((value, fields))
}

fn nth_miss<T: DeserializeOwned>(bytes: &[u8], nth: u32) -> Option<BadField> {
    MISSES.set(0);
    FAIL_AT.set(nth);
    let outcome = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(bytes));
    FAIL_AT.set(u32::MAX);
    let error = outcome.err()?;
    let path = error.path().to_string();
    let why = error.into_inner().to_string();
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned();
    Some(BadField { path, why })
}

fn miss<E: de::Error>(wanted: &str, found: &str) -> Result<(), E> {
    let nth = MISSES.get();
    MISSES.set(nth + 1);
    if nth == FAIL_AT.get() { Err(E::custom(format_args!("{found} where {wanted} belongs"))) } else { Ok(()) }
}
