//! Scalars: text, numbers, truth values, and the placeholders that stand for nothing.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::miss;

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
pub(super) fn is_placeholder(text: &str) -> bool {
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

pub(super) struct ScalarVisitor<T>(pub(super) PhantomData<T>);

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
