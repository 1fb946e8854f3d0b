//! Which nodes a request is for: names, ranges, tags and addresses matched against the database, once.
//!
//! A name outside any range must exist; holes in a range are skipped. One form that fits several nodes is refused with the
//! candidates. An empty selection is nothing, never everything.

use std::collections::{BTreeMap, HashMap, HashSet};

use helix_api::select::{self, Selection};
use sqlx::PgPool;
use uuid::Uuid;

use super::Answer;
use super::node_view::address;
use super::problem::Refused;
use crate::store::nodes::{self, Names};

/// Names beyond this distance are no slip of the keyboard.
const NEAR: usize = 2;

/// The nodes of one reference in a path.
pub(crate) async fn one(db: &PgPool, reference: &str) -> Answer<Names> {
    let mut found = matching(db, &[reference.to_owned()]).await?;
    let matches = found.remove(reference).unwrap_or_default();
    match matches.len() {
        1 => matches.into_iter().next().ok_or_else(|| unknown_node(reference, None)),
        0 => Err(unknown_node(reference, nearest(db, reference).await?)),
        _ => Err(ambiguous(reference, &matches)),
    }
}

fn unknown_node(reference: &str, nearest: Option<String>) -> Refused {
    let refused = Refused::not_found(
        "node_unknown",
        format!("No node has the id, name, service tag or BMC address \"{reference}\"."),
    );
    match nearest {
        Some(name) => refused.because(format!("Did you mean \"{name}\"?")),
        None => refused.next("helixctl node list"),
    }
}

fn ambiguous(form: &str, matches: &[Names]) -> Refused {
    let candidates = matches
        .iter()
        .map(|node| format!("{} (tag {}, BMC {})", node.name, node.service_tag, address(&node.host, node.port)))
        .collect();
    Refused::conflict("node_ambiguous", format!("\"{form}\" fits {} nodes. Nothing was done.", matches.len()))
        .candidates(candidates)
        .next("Name the one you mean by its service tag or by host:port.")
}

async fn nearest(db: &PgPool, form: &str) -> Answer<Option<String>> {
    let form = form.to_ascii_lowercase();
    let names = nodes::all_names(db).await?;
    Ok(names
        .into_iter()
        .map(|node| (strsim::levenshtein(&node.name, &form), node.name))
        .filter(|(distance, _)| *distance <= NEAR)
        .min()
        .map(|(_, name)| name))
}

/// The nodes of a selection, in name order.
///
/// # Errors
/// 422 `selection_empty`, `selection_range`; 404 `selection_unknown`; 409 `node_ambiguous`.
pub(crate) async fn resolve(db: &PgPool, selection: &Selection) -> Answer<Vec<Names>> {
    if selection.is_empty() {
        return Err(Refused::unprocessable("selection_empty", "The selection names no node. Nothing was done.")
            .next("Name nodes, or say --all for every node."));
    }
    let mut chosen: BTreeMap<String, Names> = BTreeMap::new();
    if selection.all {
        chosen.extend(nodes::all_names(db).await?.into_iter().map(|node| (node.name.clone(), node)));
    } else {
        chosen.extend(expand(db, &selection.forms, true).await?.into_iter().map(|node| (node.name.clone(), node)));
    }
    if !selection.except.is_empty() {
        let except: HashSet<Uuid> =
            expand(db, &selection.except, false).await?.into_iter().map(|node| node.id).collect();
        chosen.retain(|_, node| !except.contains(&node.id));
    }
    let limit = selection.limit.map_or(usize::MAX, |limit| limit as usize);
    Ok(chosen.into_values().take(limit).collect())
}

/// The nodes of a selection that is about to be acted on: there must be at least one.
///
/// # Errors
/// As [`resolve`]; 404 `selection_matches_nothing`.
pub(crate) async fn to_act_on(db: &PgPool, selection: &Selection) -> Answer<Vec<Names>> {
    let nodes = resolve(db, selection).await?;
    if nodes.is_empty() {
        return Err(Refused::not_found(
            "selection_matches_nothing",
            "No node matches the selection. Nothing was done.",
        )
        .next("helixctl node list"));
    }
    Ok(nodes)
}

/// Expands forms. Plain ones must exist when `must_exist`.
async fn expand(db: &PgPool, forms: &[String], must_exist: bool) -> Answer<Vec<Names>> {
    let mut wanted: Vec<(String, bool)> = Vec::new();
    for form in forms {
        let range = select::is_range(form);
        let names = select::expand(form)
            .map_err(|error| Refused::unprocessable(error.code(), format!("{error}.")).field("selection.forms"))?;
        wanted.extend(names.into_iter().map(|name| (name, range)));
    }
    if wanted.len() > select::EXPANSION_LIMIT {
        return Err(Refused::unprocessable(
            "selection_range",
            format!("The selection names more than {} nodes.", select::EXPANSION_LIMIT),
        ));
    }
    let texts: Vec<String> = wanted.iter().map(|(text, _)| text.clone()).collect();
    let mut found = matching(db, &texts).await?;
    let mut chosen = Vec::new();
    for (text, range) in wanted {
        let matches = found.remove(&text).unwrap_or_default();
        match matches.len() {
            // The same form may be given twice; it was taken out of the map by its first turn.
            0 if range || !must_exist || chosen.iter().any(|node| goes_by(node, &text)) => {}
            0 => {
                let refused = Refused::not_found(
                    "selection_unknown",
                    format!("No node has the name, service tag or BMC address \"{text}\". Nothing was done."),
                )
                .field("selection.forms");
                return Err(match nearest(db, &text).await? {
                    Some(name) => refused.because(format!("Did you mean \"{name}\"?")),
                    None => refused,
                });
            }
            1 => chosen.extend(matches),
            _ => return Err(ambiguous(&text, &matches)),
        }
    }
    Ok(chosen)
}

/// Nodes by the texts that they go by.
async fn matching(db: &PgPool, texts: &[String]) -> Answer<HashMap<String, Vec<Names>>> {
    let ids: Vec<Uuid> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let lower: Vec<String> = texts.iter().map(|text| text.trim().to_ascii_lowercase()).collect();
    let upper: Vec<String> = texts.iter().map(|text| text.trim().to_ascii_uppercase()).collect();
    let mut hosts = lower.clone();
    hosts.extend(lower.iter().filter_map(|text| host_of(text)).map(str::to_owned));
    let rows = nodes::by_any_name(db, &ids, &lower, &upper, &hosts).await?;
    // An index by everything a node goes by keeps a range of thousands from being compared pair by pair.
    let mut by_text: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, node) in rows.iter().enumerate() {
        for text in names_of(node) {
            let places = by_text.entry(text).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    let mut found: HashMap<String, Vec<Names>> = HashMap::new();
    for (text, lower) in texts.iter().zip(&lower) {
        if let Some(places) = by_text.get(lower) {
            found.insert(text.clone(), places.iter().map(|place| rows[*place].clone()).collect());
        }
    }
    Ok(found)
}

fn names_of(node: &Names) -> [String; 6] {
    let bracketed = if node.host.contains(':') { format!("[{}]", node.host) } else { node.host.clone() };
    [
        node.id.to_string(),
        node.name.clone(),
        node.service_tag.to_ascii_lowercase(),
        node.host.clone(),
        format!("{bracketed}:{}", node.port),
        bracketed,
    ]
}

fn goes_by(node: &Names, text: &str) -> bool {
    names_of(node).contains(&text.trim().to_ascii_lowercase())
}

/// The host in `host:port` or `[ipv6]:port`.
fn host_of(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').map(|(host, _)| host);
    }
    text.rsplit_once(':').map(|(host, _)| host).filter(|host| !host.contains(':'))
}
