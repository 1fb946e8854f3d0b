//! Reading what a BMC really sends.
//!
//! Every property may be missing, null, empty, a placeholder or of another type than its schema says. Nothing of that may cost
//! the rest of a resource. So each field is read by one of the functions below, which turns what it cannot use into `None` and
//! counts it. When nothing was counted, as nearly always, one pass over the bytes was all. Otherwise the document is read again,
//! once per miss, with the n-th miss made an error, and the error's path names the field: no path is kept in the quick pass.
//!
//! It holds no knowledge of any resource.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

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

/// What one JSON scalar means for a Rust type.
pub(crate) enum Reading<T> {
    Value(T),
    Absent,
    Wrong,
}

/// A type that a JSON scalar is read into.
pub(crate) trait Scalar: Sized {
    const WANTED: &'static str;
    fn from_text(text: &str) -> Reading<Self>;
    fn from_integer(_: i128) -> Reading<Self> {
        Reading::Wrong
    }
    fn from_float(_: f64) -> Reading<Self> {
        Reading::Wrong
    }
    fn from_bool(_: bool) -> Reading<Self> {
        Reading::Wrong
    }
}

/// Placeholders that firmware and boards write where they know nothing.
fn is_placeholder(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "na",
        "n/a",
        "null",
        "notavailable",
        "not available",
        "not applicable",
        "notapplicable",
        "unknown",
        "time_na",
        "default string",
        "to be filled by o.e.m.",
        "not specified",
    ];
    text.is_empty()
        || text.starts_with("0000-00-00")
        || text.starts_with("0001-01-01T00:00:00")
        || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

impl Scalar for String {
    const WANTED: &'static str = "text";

    fn from_text(text: &str) -> Reading<Self> {
        let text = text.trim();
        if is_placeholder(text) { Reading::Absent } else { Reading::Value(text.to_owned()) }
    }

    fn from_integer(value: i128) -> Reading<Self> {
        Reading::Value(value.to_string())
    }

    fn from_float(value: f64) -> Reading<Self> {
        Reading::Value(value.to_string())
    }

    fn from_bool(value: bool) -> Reading<Self> {
        Reading::Value(value.to_string())
    }
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Scalar for $type {
            const WANTED: &'static str = "a whole number";

            fn from_text(text: &str) -> Reading<Self> {
                let text = text.trim();
                if is_placeholder(text) {
                    return Reading::Absent;
                }
                text.parse().map_or(Reading::Wrong, Reading::Value)
            }

            fn from_integer(value: i128) -> Reading<Self> {
                <$type>::try_from(value).map_or(Reading::Wrong, Reading::Value)
            }

            fn from_float(value: f64) -> Reading<Self> {
                // Beyond 2^53 a float is no exact count of anything.
                if !value.is_finite() || value.abs() > 9_007_199_254_740_992.0 {
                    return Reading::Wrong;
                }
                Self::from_integer(value.round() as i128)
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, i64);

impl Scalar for f64 {
    const WANTED: &'static str = "a number";

    fn from_text(text: &str) -> Reading<Self> {
        let text = text.trim();
        if is_placeholder(text) {
            return Reading::Absent;
        }
        text.parse().map_or(Reading::Wrong, Reading::Value)
    }

    fn from_integer(value: i128) -> Reading<Self> {
        Reading::Value(value as f64)
    }

    fn from_float(value: f64) -> Reading<Self> {
        Reading::Value(value)
    }
}

impl Scalar for bool {
    const WANTED: &'static str = "true or false";

    fn from_text(text: &str) -> Reading<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "enabled" | "on" => Reading::Value(true),
            "false" | "no" | "disabled" | "off" => Reading::Value(false),
            text if is_placeholder(text) => Reading::Absent,
            _ => Reading::Wrong,
        }
    }

    fn from_integer(value: i128) -> Reading<Self> {
        match value {
            0 => Reading::Value(false),
            1 => Reading::Value(true),
            _ => Reading::Wrong,
        }
    }

    fn from_bool(value: bool) -> Reading<Self> {
        Reading::Value(value)
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    fn take<E: de::Error>(reading: Reading<T>, found: &str) -> Result<Option<T>, E> {
        match reading {
            Reading::Value(value) => Ok(Some(value)),
            Reading::Absent => Ok(None),
            Reading::Wrong => miss(T::WANTED, found).map(|()| None),
        }
    }
}

impl<'de, T: Scalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<T>, E> {
        match T::from_text(text) {
            Reading::Wrong => {
                let shown: String = text.chars().take(40).collect();
                Self::take(Reading::Wrong, &format!("{shown:?}"))
            }
            reading => Self::take(reading, ""),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Option<T>, E> {
        Self::take(T::from_integer(value.into()), "a number")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Option<T>, E> {
        Self::take(T::from_integer(value.into()), "a negative number")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Option<T>, E> {
        Self::take(T::from_float(value), "a fraction")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Option<T>, E> {
        Self::take(T::from_bool(value), "true or false")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        let mut empty = true;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            empty = false;
        }
        if empty { Ok(None) } else { miss(T::WANTED, "a list").map(|()| None) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut empty = true;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            empty = false;
        }
        if empty { Ok(None) } else { miss(T::WANTED, "an object").map(|()| None) }
    }
}

/// A scalar that may be anything: `None` for null, placeholders and what cannot be used.
pub(crate) fn opt<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(ScalarVisitor(PhantomData))
}

/// Text exactly as sent, placeholders included: for values that are only ever compared with themselves.
pub(crate) fn verbatim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Verbatim(String);

    impl Scalar for Verbatim {
        const WANTED: &'static str = "text";

        fn from_text(text: &str) -> Reading<Self> {
            Reading::Value(Self(text.to_owned()))
        }
    }

    Ok(opt::<_, Verbatim>(deserializer)?.map(|Verbatim(text)| text))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        let mut empty = true;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            empty = false;
        }
        // Some firmware writes an empty list for an object that it has nothing for.
        if empty { Ok(None) } else { miss("an object", "a list").map(|()| None) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<T>, E> {
        if is_placeholder(text.trim()) { Ok(None) } else { miss("an object", "text").map(|()| None) }
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Option<T>, E> {
        miss("an object", "a number").map(|()| None)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Option<T>, E> {
        miss("an object", "a number").map(|()| None)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Option<T>, E> {
        miss("an object", "a number").map(|()| None)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Option<T>, E> {
        miss("an object", "true or false").map(|()| None)
    }
}

/// A nested object that may be null, missing or something else.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

struct ObjectSeed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for ObjectSeed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        object(deserializer)
    }
}

struct ScalarSeed<T>(PhantomData<T>);

impl<'de, T: Scalar> DeserializeSeed<'de> for ScalarSeed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        opt(deserializer)
    }
}

struct ObjectsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectsVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(ObjectSeed(PhantomData))? {
            list.extend(element);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| vec![one])
    }

    fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        if matches!(text.trim(), "" | "[]") { Ok(Vec::new()) } else { miss("a list", "text").map(|()| Vec::new()) }
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Vec<T>, E> {
        miss("a list", "a number").map(|()| Vec::new())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Vec<T>, E> {
        miss("a list", "a number").map(|()| Vec::new())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Vec<T>, E> {
        miss("a list", "a number").map(|()| Vec::new())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Vec<T>, E> {
        miss("a list", "true or false").map(|()| Vec::new())
    }
}

/// A list of objects; one bare object counts as a list of one, null as none.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(ObjectsVisitor(PhantomData))
}

struct ScalarsVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar> Visitor<'de> for ScalarsVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(ScalarSeed(PhantomData))? {
            list.extend(element);
        }
        Ok(list)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        if text.trim() == "[]" {
            return Ok(Vec::new());
        }
        ScalarVisitor(PhantomData).visit_str(text).map(|one| one.into_iter().collect())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Vec<T>, E> {
        ScalarVisitor(PhantomData).visit_u64(value).map(|one| one.into_iter().collect())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Vec<T>, E> {
        ScalarVisitor(PhantomData).visit_i64(value).map(|one| one.into_iter().collect())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Vec<T>, E> {
        ScalarVisitor(PhantomData).visit_f64(value).map(|one| one.into_iter().collect())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Vec<T>, E> {
        ScalarVisitor(PhantomData).visit_bool(value).map(|one| one.into_iter().collect())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        miss("a list", "an object").map(|()| Vec::new())
    }
}

/// A list of scalars; a bare scalar counts as a list of one, null and the text `[]` as none. Elements that are null or
/// placeholders are left out.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(ScalarsVisitor(PhantomData))
}

/// `list` of texts, named so that the attribute on a field stays short.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    list(deserializer)
}

/// The value of one BIOS or iDRAC attribute, as sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// null: write-only attributes, or one that does not apply.
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl AttributeValue {
    /// The text, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Attribute name → value. A map and not a struct: the set differs between models, firmware and licences.
pub type Attributes = BTreeMap<String, AttributeValue>;

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut attributes = Attributes::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.contains('@') {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if let Some(value) = map.next_value_seed(AttributeSeed)? {
                attributes.insert(name, value);
            }
        }
        Ok(attributes)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Attributes, E> {
        Ok(Attributes::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<Attributes, E> {
        Ok(Attributes::new())
    }
}

struct AttributeSeed;

impl<'de> DeserializeSeed<'de> for AttributeSeed {
    type Value = Option<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AttributeSeed {
    type Value = Option<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Text(text.to_owned())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(value).map_or(AttributeValue::Float(value as f64), AttributeValue::Integer)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Integer(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Float(value)))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Bool(value)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        miss("an attribute value", "a list").map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        miss("an attribute value", "an object").map(|()| None)
    }
}

/// A map of attributes; names that carry `@` are annotations and left out.
pub(crate) fn attributes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
    deserializer.deserialize_any(AttributesVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Part {
        #[serde(deserialize_with = "opt")]
        serial: Option<String>,
        #[serde(deserialize_with = "opt")]
        size: Option<u64>,
        #[serde(deserialize_with = "object")]
        inner: Option<Inner>,
        #[serde(deserialize_with = "objects")]
        parts: Vec<Inner>,
        #[serde(deserialize_with = "list")]
        speeds: Vec<u32>,
        #[serde(deserialize_with = "verbatim")]
        time: Option<String>,
        #[serde(deserialize_with = "attributes")]
        attributes: Attributes,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Inner {
        #[serde(deserialize_with = "opt")]
        watts: Option<f64>,
        #[serde(deserialize_with = "opt")]
        on: Option<bool>,
    }

    fn read(text: &str) -> (Part, Vec<BadField>) {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn padded_serials_are_trimmed_and_placeholders_are_none() {
        assert_eq!(read(r#"{"Serial":"MT0001      "}"#).0.serial.as_deref(), Some("MT0001"));
        for text in
            ["\"\"", "null", "\"NA\"", "\"NotAvailable\"", "\"Unknown\"", "[]", "{}", "\"0000-00-00T00:00:00+00:00\""]
        {
            let (part, bad) = read(&format!(r#"{{"Serial":{text}}}"#));
            assert_eq!(part.serial, None, "{text}");
            assert!(bad.is_empty(), "{text}");
        }
    }

    #[test]
    fn each_unusable_field_is_named_and_costs_nothing_else() {
        let (part, bad) = read(
            r#"{"Serial":"A","Size":"huge","Inner":{"Watts":"many","On":"Enabled"},"Parts":[{"Watts":5},{"Watts":{"a":1}}],"Speeds":[4800,"x"]}"#,
        );
        assert_eq!(part.serial.as_deref(), Some("A"));
        assert_eq!(part.size, None);
        assert_eq!(part.inner.as_ref().and_then(|inner| inner.on), Some(true));
        assert_eq!(part.parts.len(), 2);
        assert_eq!(part.speeds, [4800]);
        let paths: Vec<&str> = bad.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["Size", "Inner.Watts", "Parts[1].Watts", "Speeds[1]"]);
        assert_eq!(bad[0].why, "\"huge\" where a whole number belongs");
    }

    #[test]
    fn numbers_in_text_and_whole_floats_are_numbers() {
        assert_eq!(read(r#"{"Size":"42"}"#).0.size, Some(42));
        assert_eq!(read(r#"{"Size":42.0}"#).0.size, Some(42));
        let (part, bad) = read(r#"{"Size":-128}"#);
        assert_eq!((part.size, bad.len()), (None, 1));
    }

    #[test]
    fn a_reset_time_of_zeros_is_kept_as_text() {
        let (part, _) = read(r#"{"Time":"0000-00-00T00:00:00+00:00"}"#);
        assert_eq!(part.time.as_deref(), Some("0000-00-00T00:00:00+00:00"));
    }

    #[test]
    fn attributes_of_every_type_are_kept_and_annotations_left_out() {
        let (part, bad) =
            read(r#"{"Attributes":{"A":"Uefi","B":12,"C":null,"D":true,"A@Redfish.Deprecated":"x","E":[1]}}"#);
        assert_eq!(part.attributes.len(), 4);
        assert_eq!(part.attributes["A"].as_str(), Some("Uefi"));
        assert_eq!(part.attributes["C"], AttributeValue::Null);
        assert_eq!(bad[0].path, "Attributes.E");
    }

    #[test]
    fn one_bad_document_names_eight_fields_at_most() {
        let (_, bad) = read(&format!(r#"{{"Speeds":[{}]}}"#, vec!["\"x\""; 50].join(",")));
        assert_eq!(bad.len(), 8);
    }
}
