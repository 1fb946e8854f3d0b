//! Walks everything a fleet serves, as a strict client would: every link must resolve, every resource must say what it is,
//! counts must be right, and an expanded collection must hold what single reads give.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use redfish_sim::Fleet;
use serde_json::Value;

use crate::client::Client;

fn links(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(id) = object.get("@odata.id").and_then(Value::as_str) {
                found.insert(id.to_owned());
            }
            object.values().for_each(|inner| links(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| links(inner, found)),
        _ => {}
    }
}

/// Counts beside arrays must be theirs, except that a page of a collection counts the whole.
fn wrong_counts(path: &str, value: &Value, wrong: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, count) in object {
                let Some(array) = name.strip_suffix("@odata.count") else { continue };
                let paged =
                    array == "Members" && (path.contains("$skip") || object.contains_key("Members@odata.nextLink"));
                match object.get(array).and_then(Value::as_array) {
                    Some(items) if paged || count.as_u64() == Some(items.len() as u64) => {}
                    other => wrong.push(format!("{path}: {name} is {count}, the array has {:?}", other.map(Vec::len))),
                }
            }
            object.values().for_each(|inner| wrong_counts(path, inner, wrong));
        }
        Value::Array(items) => items.iter().for_each(|inner| wrong_counts(path, inner, wrong)),
        _ => {}
    }
}

/// Readings and clocks move between two reads; everything else must not.
fn settle(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(name, _)| {
                !name.contains("DateTime")
                    && !name.contains("Reading")
                    && !name.contains("Watts")
                    && !name.contains("RPM")
                    && !name.contains("Amps")
            })
            .map(|(name, inner)| (name.clone(), settle(inner)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(settle).collect(),
        other => other.clone(),
    }
}

async fn walk(client: &Client) -> BTreeMap<String, Value> {
    let mut seen = BTreeSet::from(["/redfish/v1".to_owned()]);
    let mut queue = VecDeque::from(["/redfish/v1".to_owned()]);
    let mut documents = BTreeMap::new();
    let mut broken = Vec::new();
    while let Some(path) = queue.pop_front() {
        let (status, body) = client.get(&path).await.parts();
        if status != 200 {
            broken.push(format!("{path} answers {status}"));
            continue;
        }
        let mut found = BTreeSet::new();
        links(&body, &mut found);
        if let Some(next) = body.get("Members@odata.nextLink").and_then(Value::as_str) {
            found.insert(next.to_owned());
        }
        for link in found {
            // A fragment names a part of a document, not a document.
            if !link.contains('#') && seen.insert(link.clone()) {
                queue.push_back(link);
            }
        }
        documents.insert(path, body);
    }
    assert!(broken.is_empty(), "links that do not resolve: {broken:#?}");
    documents
}

async fn a_whole_tree_is_sound(address: &str, model: &str, gpus: usize) {
    let fleet = Fleet::builder().seed(11).bmc(address, model).start().await.unwrap();
    let client = Client::basic(&fleet, address);
    let documents = walk(&client).await;
    assert!(documents.len() > 200, "only {} resources", documents.len());

    let mut wrong = Vec::new();
    for (path, body) in &documents {
        wrong_counts(path, body, &mut wrong);
        for key in ["@odata.id", "@odata.type", "Name"] {
            if body.get(key).is_none() {
                wrong.push(format!("{path} has no {key}"));
            }
        }
        if body.get("Members").is_none() && body.get("Id").is_none() {
            wrong.push(format!("{path} has no Id"));
        }
        let own = body["@odata.id"].as_str().unwrap_or_default().trim_end_matches('/');
        if own != path.trim_end_matches('/').split('?').next().unwrap_or_default() {
            wrong.push(format!("{path} calls itself {own}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Every collection, expanded, holds what the single reads gave.
    for (path, body) in documents.iter().filter(|(path, body)| body.get("Members").is_some() && !path.contains('?')) {
        let (status, expanded) = client.get(&format!("{path}?$expand=*($levels=1)")).await.parts();
        assert_eq!(status, 200, "{path}");
        let members = body["Members"].as_array().unwrap();
        let expanded = expanded["Members"].as_array().unwrap();
        assert_eq!(members.len(), expanded.len(), "{path}");
        for (member, expanded) in members.iter().zip(expanded) {
            let id = member["@odata.id"].as_str().unwrap();
            if path.contains("/Sessions") || path.contains("/Entries") {
                continue;
            }
            let single = documents.get(id).unwrap_or_else(|| panic!("{id} was not walked"));
            assert_eq!(settle(single), settle(expanded), "{id} read alone and inside {path}");
        }
    }
    let found = documents.values().filter(|body| body["ProcessorType"] == "GPU").count();
    assert_eq!(found, gpus);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_an_xe9680_resolves() {
    a_whole_tree_is_sound("127.61.0.1", "XE9680", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_an_xe8640_resolves() {
    a_whole_tree_is_sound("127.61.0.2", "XE8640", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_an_r760xa_resolves() {
    a_whole_tree_is_sound("127.61.0.3", "R760xa", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_an_r660_resolves() {
    a_whole_tree_is_sound("127.61.0.4", "R660", 0).await;
}
