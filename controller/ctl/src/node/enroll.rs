//! `helixctl node enroll FILE`: from a list of BMC addresses to nodes.
//!
//! The file is read and checked here, so that a slip is shown with its line before anything is sent; the controller
//! checks again. A line that fails makes no node and is taken up again by `--only-failed`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use helix_api::client::{Client, NodeQuery, clean_fingerprint};
use helix_api::deploy::BootNetwork;
use helix_api::enrol::{COLUMNS, EnrolAccepted, EnrolLine, EnrolRequest, RefusedLine};

use crate::args::{Follow, Global};
use crate::ask::{self, Change};
use crate::problem::{CtlError, Exit};

/// `helixctl node enroll`
#[derive(Debug, Args)]
#[command(
    after_help = "The file has a header; columns in any order:\n  address,credential,name,rack,position,labels,boot_mac,boot_ip,\
                        boot_gateway,boot_vlan,boot_dns\n\nExamples:\n  helixctl node enroll fleet.csv\n  helixctl node enroll 10.0.7.21 \
                        10.0.7.22 --credential idrac-r07\n  helixctl node enroll fleet.csv --only-failed"
)]
pub struct Enroll {
    /// A CSV file, or BMC addresses; - reads the file from standard input
    #[arg(required = true, value_name = "FILE|ADDRESS")]
    pub what: Vec<String>,
    /// Credential for lines that name none
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// Certificates to accept: lines of "address sha256"; others are refused
    #[arg(long, value_name = "FILE")]
    pub fingerprints: Option<PathBuf>,
    /// Only lines whose BMC is no node yet
    #[arg(long)]
    pub only_failed: bool,
    /// Do not read the hardware afterwards
    #[arg(long)]
    pub no_inspect: bool,
    /// Check the lines and say what would happen; no BMC is contacted
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub follow: Follow,
}

/// Enrols BMCs.
///
/// # Errors
/// A file that does not parse, no good line, not confirmed; as the controller answers.
pub async fn run(global: &Global, enroll: &Enroll) -> Result<Exit, CtlError> {
    let (source, mut lines, mut refused) = read(&enroll.what)?;
    let client = crate::context::client(global)?;
    if enroll.only_failed {
        let known = known_addresses(&client).await?;
        lines.retain(|line| !known.contains(&normal(&line.address)));
    }
    let request = EnrolRequest {
        source: Some(source.clone()),
        lines,
        credential: enroll.credential.clone(),
        fingerprints: enroll.fingerprints.as_deref().map(fingerprints).transpose()?.unwrap_or_default(),
        inspect: !enroll.no_inspect,
        dry_run: true,
    };
    let sent = request.lines.len();
    let checked = if sent == 0 {
        EnrolAccepted { bulk: None, refused: Vec::new(), new_bmcs: 0, known_bmcs: 0 }
    } else {
        client.enrol(&request).await?
    };
    refused.extend(checked.refused.clone());
    let good = sent - checked.refused.len();
    if !global.quiet {
        say(&source, sent + refused.len() - checked.refused.len(), good, &refused, &checked, enroll);
    }
    if good == 0 {
        return if refused.is_empty() {
            Ok(Exit::Done)
        } else {
            Err(CtlError::new(Exit::Usage, "enrol_no_good_line", format!("no line of {source} can be enrolled"))
                .next("mend the lines above and enrol again; nothing was contacted"))
        };
    }
    if enroll.dry_run {
        if !global.output.is_table() {
            crate::output::object(global.output, &checked, "")?;
        }
        return Ok(if refused.is_empty() { Exit::Done } else { Exit::Partly });
    }
    let names: Vec<String> = request.lines.iter().map(|line| line.address.clone()).collect();
    let question = format!("Enrol {good} nodes?");
    // Enrolment writes nothing to a BMC: however many there are, a plain yes is enough.
    ask::confirm(global, &Change { question: &question, names: &names[..1], destructive: false })?;
    let accepted = client.enrol(&EnrolRequest { dry_run: false, ..request }).await?;
    let Some(bulk) = accepted.bulk else {
        return Err(CtlError::new(Exit::Failed, "enrol_not_started", "the controller took no line")
            .because(accepted.refused.first().map(|line| line.message.clone()).unwrap_or_default()));
    };
    let exit = crate::follow::bulk::started(global, &client, bulk, &enroll.follow, true).await?;
    if matches!(exit, Exit::Partly | Exit::Failed) && !global.quiet {
        eprintln!("Next: mend the cause, then {} --only-failed", global.command_line());
    }
    Ok(if exit == Exit::Done && !refused.is_empty() { Exit::Partly } else { exit })
}

fn say(source: &str, all: usize, good: usize, refused: &[RefusedLine], checked: &EnrolAccepted, enroll: &Enroll) {
    if refused.is_empty() {
        eprintln!("{source}: {all} lines, all good");
    } else {
        eprintln!("{source}: {all} lines, {good} good, {} refused", refused.len());
        for line in refused {
            eprintln!("  line {:<4} {}  {}", line.line, line.label, line.message);
        }
    }
    if checked.new_bmcs > 0 && enroll.fingerprints.is_none() {
        eprintln!(
            "Certificates seen for the first time will be pinned: {} BMCs are new to Helix (check first: --fingerprints FILE).",
            checked.new_bmcs
        );
    }
    if checked.known_bmcs > 0 {
        eprintln!(
            "{} BMCs are known: rack, position, labels and credential are updated, nothing else.",
            checked.known_bmcs
        );
    }
}

async fn known_addresses(client: &Client) -> Result<Vec<String>, CtlError> {
    let nodes = client.all_nodes(&NodeQuery::default()).await?;
    Ok(nodes.into_iter().map(|node| normal(&node.bmc.address)).collect())
}

/// An address with its port, for comparing.
fn normal(address: &str) -> String {
    let address = address.trim().to_ascii_lowercase();
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { address } else { format!("{address}:443") }
}

type Read3 = (String, Vec<EnrolLine>, Vec<RefusedLine>);

/// One argument that is a file is a CSV file; else all are addresses.
fn read(what: &[String]) -> Result<Read3, CtlError> {
    if let [only] = what
        && (only == "-" || Path::new(only).exists() || only.to_ascii_lowercase().ends_with(".csv"))
    {
        let mut text = String::new();
        let path = Path::new(only);
        if only == "-" {
            std::io::stdin().read_to_string(&mut text).map_err(|error| CtlError::file(path, "read", &error))?;
        } else {
            text = std::fs::read_to_string(path).map_err(|error| CtlError::file(path, "read", &error))?;
        }
        let source = if only == "-" { "standard input" } else { only };
        let (lines, refused) = parse(source, &text)?;
        return Ok((source.to_owned(), lines, refused));
    }
    let lines =
        (1..).zip(what).map(|(line, address)| EnrolLine { line, address: address.clone(), ..EnrolLine::default() });
    Ok(("command line".to_owned(), lines.collect(), Vec::new()))
}

fn parse(source: &str, text: &str) -> Result<(Vec<EnrolLine>, Vec<RefusedLine>), CtlError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let unreadable = |error: &csv::Error| {
        CtlError::new(Exit::Usage, "enrol_file_invalid", format!("{source} is no CSV file")).because(error.to_string())
    };
    let headers = reader.headers().map_err(|error| unreadable(&error))?.clone();
    for header in &headers {
        if !COLUMNS.contains(&header) {
            let near = COLUMNS.iter().map(|column| (strsim::jaro_winkler(header, column), column));
            let near = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.75);
            let error =
                CtlError::new(Exit::Usage, "enrol_unknown_column", format!("{source}: unknown column \"{header}\""))
                    .because(format!("columns are {}", COLUMNS.join(",")));
            return Err(match near {
                Some((_, column)) => error.next(format!("did you mean \"{column}\"?")),
                None => error.next("the first line must be the header"),
            });
        }
    }
    if !headers.iter().any(|header| header == "address") {
        return Err(CtlError::new(Exit::Usage, "enrol_no_address", format!("{source} has no column \"address\""))
            .because(format!("columns are {}", COLUMNS.join(","))));
    }
    let mut lines = Vec::new();
    let mut refused = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error))?;
        let number = record.position().map_or(0, |position| u32::try_from(position.line()).unwrap_or(u32::MAX));
        let label = record.get(0).unwrap_or_default().to_owned();
        match line(number, &headers, &record) {
            Ok(line) => lines.push(line),
            Err(message) => {
                refused.push(RefusedLine { line: number, label, code: "enrol_line_invalid".into(), message });
            }
        }
    }
    Ok((lines, refused))
}

fn line(number: u32, headers: &csv::StringRecord, record: &csv::StringRecord) -> Result<EnrolLine, String> {
    if record.len() != headers.len() {
        return Err(format!("{} values for {} columns", record.len(), headers.len()));
    }
    let mut line = EnrolLine { line: number, ..EnrolLine::default() };
    let mut network = BootNetwork::default();
    for (column, value) in headers.iter().zip(record).filter(|(_, value)| !value.is_empty()) {
        let text = value.to_owned();
        match column {
            "address" => line.address = text,
            "credential" => line.credential = Some(text),
            "name" => line.name = Some(text),
            "rack" => line.rack = Some(text),
            "position" => {
                let digits = value.trim_start_matches(['U', 'u']);
                line.position = Some(digits.parse().map_err(|_| format!("position \"{value}\" is no number"))?);
            }
            "labels" => line.labels = labels(value)?,
            "boot_mac" => network.mac = Some(text),
            "boot_ip" => network.address = Some(text),
            "boot_gateway" => network.gateway = Some(text),
            "boot_vlan" => {
                network.vlan = Some(value.parse().map_err(|_| format!("boot_vlan \"{value}\" is no number"))?)
            }
            "boot_dns" => {
                network.dns = value.split([';', ' ']).map(str::to_owned).filter(|dns| !dns.is_empty()).collect()
            }
            _ => {}
        }
    }
    if line.address.is_empty() {
        return Err("the address is empty".to_owned());
    }
    line.boot_network = (network != BootNetwork::default()).then_some(network);
    Ok(line)
}

/// `k=v;k=v`
///
/// # Errors
/// A part without `=`.
pub fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.split_once('=')
                .filter(|(key, _)| !key.trim().is_empty())
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .ok_or_else(|| format!("label \"{part}\" is not key=value"))
        })
        .collect()
}

fn fingerprints(path: &Path) -> Result<BTreeMap<String, String>, CtlError> {
    let text = std::fs::read_to_string(path).map_err(|error| CtlError::file(path, "read", &error))?;
    let mut known = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let bad = || {
            CtlError::new(
                Exit::Usage,
                "fingerprint_invalid",
                format!("{} line {number} is not \"address sha256\"", path.display()),
            )
        };
        let (address, fingerprint) = line.split_once([' ', ',', '\t']).ok_or_else(bad)?;
        known.insert(address.to_owned(), clean_fingerprint(fingerprint).ok_or_else(bad)?);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_stand_in_any_order() {
        let (lines, refused) =
            parse("f", "rack,position,address,labels\nr01,5,127.10.0.5:4443,gen=16;use=training\n").unwrap();
        assert!(refused.is_empty());
        assert_eq!(lines[0].line, 2);
        assert_eq!(lines[0].position, Some(5));
        assert_eq!(lines[0].labels["use"], "training");
    }

    #[test]
    fn an_unknown_column_is_refused_with_the_nearest() {
        let error = parse("f", "adress,rack\n127.10.0.5,r01\n").unwrap_err();
        assert_eq!(error.code, "enrol_unknown_column");
        assert_eq!(error.next, ["did you mean \"address\"?"]);
    }

    #[test]
    fn a_bad_line_is_refused_and_the_others_stay() {
        let (lines, refused) = parse("f", "address,position\n10.0.0.1,five\n10.0.0.2,6\n10.0.0.3\n").unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(refused[0].message, "position \"five\" is no number");
        assert_eq!(refused[1].message, "1 values for 2 columns");
    }

    #[test]
    fn a_file_from_a_spreadsheet_is_read() {
        let (lines, _) = parse("f", "\u{feff}address,rack\r\n10.0.0.1, r01\r\n").unwrap();
        assert_eq!(lines[0].rack.as_deref(), Some("r01"));
    }

    #[test]
    fn a_boot_network_is_put_together() {
        let (lines, _) =
            parse("f", "address,boot_mac,boot_vlan,boot_dns\n10.0.0.1,02:00:00:00:00:01,7,10.0.0.2;10.0.0.3\n")
                .unwrap();
        let network = lines[0].boot_network.clone().unwrap();
        assert_eq!(network.vlan, Some(7));
        assert_eq!(network.dns, ["10.0.0.2", "10.0.0.3"]);
    }

    #[test]
    fn addresses_are_compared_with_their_port() {
        assert_eq!(normal("10.0.0.1"), normal("10.0.0.1:443"));
        assert_ne!(normal("10.0.0.1"), normal("10.0.0.1:4443"));
        assert_eq!(normal("[fd00::1]:443"), "[fd00::1]:443");
    }
}
