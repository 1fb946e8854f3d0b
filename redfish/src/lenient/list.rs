//! Lists, of objects and of scalars. What should be a list and is one thing counts as a list of one.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::{Scalar, ScalarVisitor, opt};
use super::{miss, object};

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
