//! Takes an enrolment: checks every line, says what would happen, and makes the bulk action.

use std::collections::{BTreeMap, HashMap, HashSet};

use helix_api::enrol::{EnrolRequest, RefusedLine};
use redfish_client::{BmcAddress, Fingerprint};
use serde_json::json;
use sqlx::PgConnection;

use super::item::Input;
use super::line::{self, GoodLine};
use crate::bulk::{self, Created};
use crate::store::bulks::NewItem;
use crate::store::{StoreError, credentials, nodes};

/// What an enrolment came to.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Absent for a dry run, or when no line is good.
    pub(crate) bulk: Option<Created>,
    pub(crate) refused: Vec<RefusedLine>,
    pub(crate) new_bmcs: usize,
    pub(crate) known_bmcs: usize,
}

/// Checks lines against each other and the database, and makes the bulk action in the caller's transaction.
///
/// # Errors
/// When the database fails. Lines that are wrong are in the answer.
pub(crate) async fn accept(
    conn: &mut PgConnection,
    request: &EnrolRequest,
    created_by: &str,
) -> Result<Accepted, StoreError> {
    let (good, mut refused) = line::check(&request.lines, request.credential.as_deref());
    let known_credentials: HashSet<String> =
        credentials::list(&mut *conn).await?.into_iter().map(|credential| credential.name).collect();
    let hosts: Vec<String> = good.iter().map(|line| line.host.clone()).collect();
    let known: HashSet<(String, i32)> = nodes::known_addresses(&mut *conn, &hosts).await?.into_iter().collect();
    let taken = taken_names(conn, &good).await?;
    let fingerprints = fingerprints(&request.fingerprints);
    let mut kept = Vec::with_capacity(good.len());
    for line in good {
        match wrong(&line, &known_credentials, &taken, &fingerprints) {
            None => kept.push(line),
            Some((code, message)) => refused.push(RefusedLine {
                line: line.line,
                label: line.name.clone().unwrap_or_else(|| line.address().to_string()),
                code: code.to_owned(),
                message,
            }),
        }
    }
    let good = kept;
    refused.sort_by_key(|line| line.line);
    let known_bmcs = good.iter().filter(|line| known.contains(&(line.host.clone(), i32::from(line.port)))).count();
    let new_bmcs = good.len() - known_bmcs;
    let mut accepted = Accepted { bulk: None, refused, new_bmcs, known_bmcs };
    if !request.dry_run && !good.is_empty() {
        accepted.bulk = Some(make(conn, request, created_by, good, &accepted.refused, &fingerprints).await?);
    }
    Ok(accepted)
}

/// Certificates that were given, by address; a text that is none is kept as such, for the words.
type Fingerprints = HashMap<BmcAddress, Result<Fingerprint, String>>;

fn fingerprints(given: &BTreeMap<String, String>) -> Fingerprints {
    given
        .iter()
        .filter_map(|(address, text)| {
            let address = line::address(address).ok()?;
            Some((address, text.parse().map_err(|_| text.clone())))
        })
        .collect()
}

/// Names of these lines that other nodes have: name → address of the node that has it.
async fn taken_names(conn: &mut PgConnection, good: &[GoodLine]) -> Result<HashMap<String, (String, i32)>, StoreError> {
    let names: Vec<String> = good.iter().filter_map(|line| line.name.clone()).collect();
    let rows = nodes::by_any_name(conn, &[], &names, &[], &[]).await?;
    Ok(rows.into_iter().map(|row| (row.name, (row.host, row.port))).collect())
}

fn wrong(
    line: &GoodLine,
    credentials: &HashSet<String>,
    taken: &HashMap<String, (String, i32)>,
    fingerprints: &Fingerprints,
) -> Option<line::Wrong> {
    if !credentials.contains(&line.credential) {
        return Some(("credential_unknown", format!("there is no credential \"{}\"", line.credential)));
    }
    if let Some(Err(text)) = fingerprints.get(&line.address()) {
        return Some(("fingerprint_invalid", format!("\"{text}\" is no SHA-256 fingerprint: 64 hexadecimal digits")));
    }
    let name = line.name.as_ref()?;
    let (host, port) = taken.get(name)?;
    // A known node is updated and keeps its name, whatever the line says.
    let same = *host == line.host && *port == i32::from(line.port);
    (!same).then(|| ("name_taken", format!("the name {name} is taken by the node at {host}")))
}

async fn make(
    conn: &mut PgConnection,
    request: &EnrolRequest,
    created_by: &str,
    good: Vec<GoodLine>,
    refused: &[RefusedLine],
    fingerprints: &Fingerprints,
) -> Result<Created, StoreError> {
    let source = request.source.as_deref().unwrap_or("a list");
    let title = format!("Enrol {} BMC{} from {source}", good.len(), if good.len() == 1 { "" } else { "s" });
    let kept = json!({ "source": source, "inspect": request.inspect });
    let bulk = bulk::create(&mut *conn, "enrol", &title, created_by, &kept).await?;
    let only_listed = !request.fingerprints.is_empty();
    // Lines are items under their own number; a client that sends none, or the same twice, gets places instead.
    let numbers: HashSet<u32> = request.lines.iter().map(|line| line.line).collect();
    let numbered = numbers.len() == request.lines.len() && !numbers.contains(&0);
    let mut items = Vec::with_capacity(request.lines.len());
    for line in good {
        let label = line.name.clone().unwrap_or_else(|| line.address().to_string());
        let fingerprint =
            fingerprints.get(&line.address()).and_then(|given| given.as_ref().ok()).map(ToString::to_string);
        let number = line.line;
        let input = Input { line, fingerprint, only_listed, inspect: request.inspect };
        items.push(NewItem {
            position: i32::try_from(number).unwrap_or(i32::MAX),
            label,
            input: serde_json::to_value(input).map_err(|error| StoreError::unreadable("a line", error))?,
            state: "waiting".to_owned(),
            ..NewItem::default()
        });
    }
    items.extend(refused.iter().map(|line| NewItem {
        position: i32::try_from(line.line).unwrap_or(i32::MAX),
        label: line.label.clone(),
        state: "refused".to_owned(),
        code: Some(line.code.clone()),
        message: Some(line.message.clone()),
        ..NewItem::default()
    }));
    if !numbered {
        for (place, item) in items.iter_mut().enumerate() {
            item.position = i32::try_from(place + 1).unwrap_or(i32::MAX);
        }
    }
    crate::store::bulks::insert_items(conn, bulk.id, &items).await?;
    Ok(bulk)
}
