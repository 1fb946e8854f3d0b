//! Operating system images: import a file or URL, list, show, delete.

use std::path::Path;

use clap::Subcommand;
use helix_api::client::Client;
use helix_api::image::{Image, ImageImport};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Global;
use crate::ask::{self, Change};
use crate::follow::{Tick, Ticker, bytes};
use crate::output::line;
use crate::problem::{CtlError, Exit};
use crate::table::Table;
use crate::time;

/// Verbs of images.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Images that nodes can be provisioned with
    List,
    /// One image: digests, what is inside, who uses it
    Show { name: String },
    /// Import a raw or qcow2 image, plain or packed (gz, zst, xz), from a file here or a URL
    #[command(
        after_help = "Examples:\n  helixctl image import debian-12-genericcloud-amd64.qcow2 --name debian-12\n  helixctl image import \
                            https://images.example/ubuntu.raw.zst --name ubuntu-24.04 --sha256 9f2c…"
    )]
    Import {
        /// File, or http(s) URL that the controller fetches
        source: String,
        /// Name: lower case, digits, dots, dashes
        #[arg(long)]
        name: String,
        /// Expected SHA-256 of the file
        #[arg(long, value_name = "SHA256")]
        sha256: Option<String>,
        /// Leave once the file is sent
        #[arg(long)]
        detach: bool,
    },
    /// Delete one that is not in use
    Delete { name: String },
}

/// `helixctl image …`
///
/// # Errors
/// As the controller answers.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    match verb {
        Verb::List => {
            let page = client.images().await?;
            if !global.output.is_table() {
                crate::output::list(global.output, &page.items, |image| image.name.clone())?;
            } else if page.items.is_empty() {
                eprintln!("No image yet: helixctl image import FILE --name NAME");
            } else {
                list(global, &page.items);
            }
            Ok(Exit::Done)
        }
        Verb::Show { name } => {
            let image = client.image(name).await?;
            if global.output.is_table() {
                show(&image);
            } else {
                crate::output::object(global.output, &image, name)?;
            }
            Ok(Exit::Done)
        }
        Verb::Import { source, name, sha256, detach } => {
            let image = if source.starts_with("http://") || source.starts_with("https://") {
                let import = ImageImport { name: name.clone(), url: source.clone(), sha256: sha256.clone() };
                client.import_image(&import).await?
            } else {
                upload(global, &client, name, sha256.as_deref(), Path::new(source)).await?
            };
            if *detach {
                crate::output::object(global.output, &image, name)?;
                return Ok(Exit::Done);
            }
            follow(global, &client, image).await
        }
        Verb::Delete { name } => {
            let names = [name.clone()];
            ask::confirm(
                global,
                &Change { question: &format!("Delete image {name}?"), names: &names, destructive: false },
            )?;
            client.delete_image(name).await?;
            if !global.quiet {
                eprintln!("Image {name} is deleted.");
            }
            Ok(Exit::Done)
        }
    }
}

async fn upload(
    global: &Global,
    client: &Client,
    name: &str,
    sha256: Option<&str>,
    path: &Path,
) -> Result<Image, CtlError> {
    let bar = (!global.quiet && console::user_attended_stderr()).then(|| {
        let bar = ProgressBar::new(0);
        let template = "sending {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let shown = bar.clone();
    let image = client
        .upload_image(name, sha256, path, move |sent, total| {
            if let Some(bar) = &shown {
                bar.set_length(total);
                bar.set_position(sent);
            }
        })
        .await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(image?)
}

/// The controller checks and packs what it got: followed until the image is ready or refused.
async fn follow(global: &Global, client: &Client, mut image: Image) -> Result<Exit, CtlError> {
    let spinner = (!global.quiet && console::user_attended_stderr()).then(ProgressBar::new_spinner);
    let mut ticker = Ticker::new(client, &["image"], None);
    while image.state == "importing" {
        if let Some(spinner) = &spinner {
            let what = image.progress.as_ref().map(crate::follow::workflow::progress).unwrap_or_default();
            spinner.set_message(format!("importing {}: {what}", image.name));
            spinner.tick();
        }
        match ticker.tick().await? {
            Tick::Look => image = client.image(&image.name).await?,
            Tick::Interrupted | Tick::Over => {
                eprintln!("The import goes on: helixctl image show {}", image.name);
                return Ok(Exit::Interrupted);
            }
        }
    }
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    if image.state == "ready" {
        if global.output.is_table() {
            if !global.quiet {
                eprintln!(
                    "Image {} is ready: {}, {} on disk, {} stored.",
                    image.name,
                    image.facts.os_name.as_deref().unwrap_or("operating system not told"),
                    bytes(image.raw_size_bytes.unwrap_or(0)),
                    bytes(image.size_bytes.unwrap_or(0))
                );
                for note in &image.facts.notes {
                    eprintln!("  {note}");
                }
            }
        } else {
            crate::output::object(global.output, &image, &image.name)?;
        }
        return Ok(Exit::Done);
    }
    let code = image.error_code.as_deref().unwrap_or("image_import_failed");
    let mut error = CtlError::new(Exit::Failed, code, format!("image {} was not imported", image.name));
    error.why = image.error_message.clone();
    Err(error.next(format!("helixctl image delete {} takes the failed entry away", image.name)))
}

fn list(global: &Global, images: &[Image]) {
    let now = chrono::Utc::now();
    let mut table = Table::new(&["NAME", "STATE", "SYSTEM", ">ON DISK", ">STORED", ">NODES", "IMPORTED", "SHA256"]);
    for image in images {
        table.row(vec![
            image.name.clone(),
            image.state.clone(),
            image.facts.os_name.clone().unwrap_or_default(),
            image.raw_size_bytes.map(bytes).unwrap_or_default(),
            image.size_bytes.map(bytes).unwrap_or_default(),
            image.used_by_nodes.to_string(),
            format!("{} ago", time::age(Some(image.created_at), now)),
            image.sha256.as_deref().map(|sha| sha[..12.min(sha.len())].to_owned()).unwrap_or_default(),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
}

fn show(image: &Image) {
    let row = |label: &str, value: &str| line(&format!("{label:<12} {value}"));
    row("Image", &format!("{}  {}  {}", image.name, image.id, image.state));
    if let Some(error) = &image.error_message {
        row("Error", &format!("{error}   [{}]", image.error_code.as_deref().unwrap_or("–")));
    }
    row("Source", image.source.as_deref().unwrap_or("–"));
    row("System", image.facts.os_name.as_deref().unwrap_or("–"));
    row("Root", image.facts.root_filesystem.as_deref().unwrap_or("–"));
    let cloud_init = match image.facts.cloud_init {
        Some(true) => "yes",
        Some(false) => "no",
        None => "could not be looked for",
    };
    row("cloud-init", cloud_init);
    row("On disk", &image.raw_size_bytes.map(bytes).unwrap_or_else(|| "–".into()));
    row("", &format!("sha256 {}", image.raw_sha256.as_deref().unwrap_or("–")));
    row("Stored", &image.size_bytes.map(bytes).unwrap_or_else(|| "–".into()));
    row("", &format!("sha256 {}", image.sha256.as_deref().unwrap_or("–")));
    row("Used by", &format!("{} nodes, {} workflows under way", image.used_by_nodes, image.used_by_workflows));
    for note in &image.facts.notes {
        row("Note", note);
    }
}
