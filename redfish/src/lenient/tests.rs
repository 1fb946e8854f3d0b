//! What is read from what BMCs send.

use serde::Deserialize;

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
