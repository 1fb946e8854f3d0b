//! The table of every setting: key, what it means, how it is read and shown.
//!
//! Loading, unknown-key suggestions, `check-config` and the reference all read this one table, so a setting cannot
//! exist without its documentation.

use secrecy::{ExposeSecret, SecretString};

use crate::config::value::Given;
use crate::config::{Config, LogFormat};

/// One setting.
pub(crate) struct Setting {
    /// `section.key`, as in the file.
    pub(crate) key: &'static str,
    /// What it means, with unit and the reason for its default.
    pub(crate) about: &'static str,
    /// Secrets are not taken from flags, which every user of the machine can read, and are never printed.
    pub(crate) secret: bool,
    /// Reads a given value into the configuration.
    pub(crate) apply: fn(&mut Config, &Given<'_>) -> Result<(), String>,
    /// The value in force, as text.
    pub(crate) show: fn(&Config) -> String,
}

fn path(value: Option<&std::path::PathBuf>) -> String {
    value.map_or_else(|| "(not set)".to_owned(), |path| path.display().to_string())
}

/// Every setting, in the order in which it is printed.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        about: "Folder of everything this controller keeps: database, keys, images.",
        secret: false,
        apply: |config, given| given.path().map(|value| config.data_dir = value),
        show: |config| config.data_dir.display().to_string(),
    },
    Setting {
        key: "time_scale",
        about: "Waits, leases, back-off and deadlines divide by it (0.1 to 10000). 1 except in tests and demos.",
        secret: false,
        apply: |config, given| given.number(0.1, 10_000.0).map(|value| config.time_scale = value),
        show: |config| config.time_scale.to_string(),
    },
    Setting {
        key: "api.listen",
        about: "Address of the dashboard and the API (HTTPS). Port 0 takes any free port.",
        secret: false,
        apply: |config, given| given.socket_address().map(|value| config.api.listen = value),
        show: |config| config.api.listen.to_string(),
    },
    Setting {
        key: "api.advertise",
        about: "HOST[:PORT] under which people and programs reach the API; it stands in the certificate.",
        secret: false,
        apply: |config, given| given.advertise().map(|value| config.api.advertise = value),
        show: |config| config.api.advertise.to_string(),
    },
    Setting {
        key: "api.certificate",
        about: "The site's own certificate for the API (PEM, with its chain) instead of one of Helix's own authority; \
                read at start.",
        secret: false,
        apply: |config, given| given.path().map(|value| config.api.certificate = Some(value)),
        show: |config| path(config.api.certificate.as_ref()),
    },
    Setting {
        key: "api.certificate_key",
        about: "The key of api.certificate (PEM). Only helixd's user may read it (mode 0600).",
        secret: false,
        apply: |config, given| given.path().map(|value| config.api.certificate_key = Some(value)),
        show: |config| path(config.api.certificate_key.as_ref()),
    },
    Setting {
        key: "agents.listen",
        about: "Address for deploy ramdisks and installed agents (TLS with client certificates).",
        secret: false,
        apply: |config, given| given.socket_address().map(|value| config.agents.listen = value),
        show: |config| config.agents.listen.to_string(),
    },
    Setting {
        key: "agents.advertise",
        about: "HOST[:PORT] that a node dials: one for all, or a table by subnet of the node's BMC \
                (\"10.0.7.0/24\" = \"10.1.7.2:8444\", default = \"…\"). Without it: the source address of the route to the BMC.",
        secret: false,
        apply: |config, given| given.advertise().map(|value| config.agents.advertise = value),
        show: |config| config.agents.advertise.to_string(),
    },
    Setting {
        key: "media.listen",
        about: "Address from which BMCs fetch deploy media and ramdisks fetch images (HTTP).",
        secret: false,
        apply: |config, given| given.socket_address().map(|value| config.media.listen = value),
        show: |config| config.media.listen.to_string(),
    },
    Setting {
        key: "media.advertise",
        about: "HOST[:PORT] that a BMC dials: one for all, or a table by subnet of the BMC. \
                Without it: the source address of the route to that BMC.",
        secret: false,
        apply: |config, given| given.advertise().map(|value| config.media.advertise = value),
        show: |config| config.media.advertise.to_string(),
    },
    Setting {
        key: "media.deploy_iso",
        about: "The deploy ISO, with its description beside it (same name, ending .json). Needed to provision.",
        secret: false,
        apply: |config, given| given.path().map(|value| config.media.deploy_iso = Some(value)),
        show: |config| path(config.media.deploy_iso.as_ref()),
    },
    Setting {
        key: "media.agent_binary",
        about: "The helix-agent that nodes install. Needed to provision.",
        secret: false,
        apply: |config, given| given.path().map(|value| config.media.agent_binary = Some(value)),
        show: |config| path(config.media.agent_binary.as_ref()),
    },
    Setting {
        key: "images.url",
        about: "Where OS images lie: s3://bucket/prefix (credentials, region and endpoint from AWS_* variables) or a folder. Without it \"images\" in data_dir.",
        secret: false,
        apply: |config, given| given.text().map(|value| config.images.url = Some(value)),
        show: |config| {
            config.images.url.clone().unwrap_or_else(|| config.data_dir.join("images").display().to_string())
        },
    },
    Setting {
        key: "database.url",
        about: "A Postgres (14 or later) of the site, postgres://user:password@host/name. Without it helixd runs a private one in data_dir.",
        secret: true,
        apply: |config, given| {
            let text = given.text()?;
            if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
                return Err("it must begin with postgres:// or postgresql://".to_owned());
            }
            config.database.url = Some(SecretString::from(text));
            Ok(())
        },
        show: |config| match &config.database.url {
            None => "(a private Postgres in data_dir)".to_owned(),
            Some(url) => without_password(url.expose_secret()),
        },
    },
    Setting {
        key: "database.connections",
        about: "Connections of this controller (4 to 500). 24: two cores keep about twice their number of statements \
                running, the rest covers long-polling listeners and bursts.",
        secret: false,
        apply: |config, given| given.whole(4, 500).map(|value| config.database.connections = value),
        show: |config| config.database.connections.to_string(),
    },
    Setting {
        key: "log.format",
        about: "text for people, json for log collectors.",
        secret: false,
        apply: |config, given| {
            given.one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]).map(|value| config.log.format = value)
        },
        show: |config| {
            match config.log.format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }
            .to_owned()
        },
    },
    Setting {
        key: "log.filter",
        about: "What is logged, e.g. info or info,helix_controller=debug.",
        secret: false,
        apply: |config, given| {
            let text = given.text()?;
            tracing_subscriber::EnvFilter::try_new(&text)
                .map_err(|error| format!("{text:?} is no log filter: {error}"))?;
            config.log.filter = text;
            Ok(())
        },
        show: |config| config.log.filter.clone(),
    },
    Setting {
        key: "limits.lease_seconds",
        about: "How long a workflow belongs to a controller that fell silent (0.5 to 600). 30: three missed heartbeats of 10 s.",
        secret: false,
        apply: |config, given| given.seconds(0.5, 600.0).map(|value| config.limits.lease = value),
        show: |config| config.limits.lease.as_secs_f64().to_string(),
    },
    Setting {
        key: "limits.workflows",
        about: "Workflows that this controller drives at the same time (1 to 10000). 500: most wait for hardware, \
                and a waiting one costs a row, not a thread.",
        secret: false,
        apply: |config, given| given.whole(1, 10_000).map(|value| config.limits.workflows = value),
        show: |config| config.limits.workflows.to_string(),
    },
    Setting {
        key: "limits.collections",
        about: "Enrolments and inspections under way at the same time (1 to 5000). 400: a big server needs 5.5 s of its \
                BMC's time, so that 1,500 nodes a minute need about 140 and slow BMCs some more.",
        secret: false,
        apply: |config, given| given.whole(1, 5000).map(|value| config.limits.collections = value),
        show: |config| config.limits.collections.to_string(),
    },
    Setting {
        key: "limits.image_streams",
        about: "Images streamed to nodes at the same time (1 to 1000). 64: about what a 25 Gbit/s link carries at 50 MB/s each.",
        secret: false,
        apply: |config, given| given.whole(1, 1000).map(|value| config.limits.image_streams = value),
        show: |config| config.limits.image_streams.to_string(),
    },
    Setting {
        key: "limits.connections",
        about: "Connections to each listener (16 to 100000). 4096: a fleet of 2,000 agents with one connection each, twice.",
        secret: false,
        apply: |config, given| given.whole(16, 100_000).map(|value| config.limits.connections = value),
        show: |config| config.limits.connections.to_string(),
    },
    Setting {
        key: "limits.stop_seconds",
        about: "How long a stop waits for running steps to reach a safe point (1 to 600). 60: the longest single request \
                to a BMC is given 90 s, nearly all answer within 30.",
        secret: false,
        apply: |config, given| given.seconds(1.0, 600.0).map(|value| config.limits.stop = value),
        show: |config| config.limits.stop.as_secs_f64().to_string(),
    },
];

/// The URL with its password replaced, so that it can be shown.
fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) => {
            if parsed.password().is_some() && parsed.set_password(Some("…")).is_err() {
                return "(set)".to_owned();
            }
            // Parameters may hold a password too.
            if parsed.query().is_some() {
                parsed.set_query(None);
            }
            parsed.to_string().replace("%E2%80%A6", "…")
        }
        Err(_) => "(set)".to_owned(),
    }
}
