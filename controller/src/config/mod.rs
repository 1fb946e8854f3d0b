//! The configuration in force: values only.
//!
//! `setting` is the table of every key with its documentation, `load` puts file, environment and flags together,
//! `advertise` says under which address others reach this controller, `report` prints it all for `helixd check-config`.

pub mod advertise;
pub mod error;
pub mod load;
pub mod report;
pub mod setting;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use self::advertise::AdvertiseSetting;
pub use self::error::ConfigError;
pub use self::load::{Loaded, Source, load};

/// Everything that can be set. `Default` is what an empty file means.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of everything this controller keeps: database, keys, images.
    pub data_dir: PathBuf,
    /// Waits, leases, back-off and deadlines divide by it; 1 except in tests and demos.
    pub time_scale: f64,
    /// The listener for people and programs: dashboard and API, HTTPS.
    pub api: ApiConfig,
    /// The listener for deploy ramdisks and installed agents, TLS with client certificates.
    pub agents: ListenerConfig,
    /// The listener for BMCs and ramdisks that fetch media, plain HTTP.
    pub media: MediaConfig,
    /// Where OS images lie.
    pub images: ImagesConfig,
    /// Which Postgres.
    pub database: DatabaseConfig,
    /// How logs are written.
    pub log: LogConfig,
    /// How much at once.
    pub limits: LimitsConfig,
}

/// The API listener, and the site's own certificate for it.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Local address; port 0 takes any free port.
    pub listen: SocketAddr,
    /// What people and programs dial.
    pub advertise: AdvertiseSetting,
    /// A certificate chain of the site (PEM) instead of one of Helix's own authority.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate (PEM, readable by helixd's user only).
    pub certificate_key: Option<PathBuf>,
}

/// Where one listener listens and how it is reached.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Local address; port 0 takes any free port.
    pub listen: SocketAddr,
    /// What others dial.
    pub advertise: AdvertiseSetting,
}

/// The media listener, and the files that it hands out.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Local address; port 0 takes any free port.
    pub listen: SocketAddr,
    /// What a BMC dials.
    pub advertise: AdvertiseSetting,
    /// The deploy ISO; its description lies beside it with the ending `.json`.
    pub deploy_iso: Option<PathBuf>,
    /// The agent that is installed on nodes.
    pub agent_binary: Option<PathBuf>,
}

/// Where OS images lie.
#[derive(Debug, Clone, Default)]
pub struct ImagesConfig {
    /// `s3://bucket/prefix` or a folder; without it `images` in the data folder.
    pub url: Option<String>,
}

/// Which Postgres.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// A server of the site; without it helixd runs a private one. May hold a password, so it is never printed.
    pub url: Option<SecretString>,
    /// Connections of this controller.
    pub connections: u32,
}

/// How logs are written.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Text for people, JSON for collectors.
    pub format: LogFormat,
    /// A filter such as `info,helix_controller=debug`.
    pub filter: String,
}

/// Text for people, JSON for collectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// How much at once. The comment at each setting in `setting` derives the number.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// How long a workflow belongs to a controller that fell silent.
    pub lease: Duration,
    /// Workflows driven at the same time by this controller.
    pub workflows: u32,
    /// Enrolments and inspections under way at the same time.
    pub collections: u32,
    /// Images streamed at the same time.
    pub image_streams: u32,
    /// Connections to each listener.
    pub connections: u32,
    /// How long a stop waits for running steps to reach a safe point. Not scaled: it belongs to the process.
    pub stop: Duration,
}

/// Listens everywhere: nodes and BMCs lie in networks that only the site knows.
fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/helix"),
            time_scale: 1.0,
            api: ApiConfig {
                listen: everywhere(8443),
                advertise: AdvertiseSetting::Automatic,
                certificate: None,
                certificate_key: None,
            },
            agents: ListenerConfig { listen: everywhere(8444), advertise: AdvertiseSetting::Automatic },
            media: MediaConfig {
                listen: everywhere(8080),
                advertise: AdvertiseSetting::Automatic,
                deploy_iso: None,
                agent_binary: None,
            },
            images: ImagesConfig::default(),
            database: DatabaseConfig { url: None, connections: 24 },
            log: LogConfig { format: LogFormat::Text, filter: "info,sqlx::postgres::notice=warn".to_owned() },
            limits: LimitsConfig {
                lease: Duration::from_secs(30),
                workflows: 500,
                collections: 400,
                image_streams: 64,
                connections: 4096,
                stop: Duration::from_secs(60),
            },
        }
    }
}
