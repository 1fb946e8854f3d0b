//! Virtual media: two slots that stream an image over HTTP. An insert really asks the image server (HEAD, then the first
//! and the last 64 KiB by range) before it answers, and the host sees the drive only about a minute after `Inserted`
//! became true (`RFS.n.MediaAttachState`). A slot whose drive was not attached when POST began is an empty drive.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Bmc;
use crate::message::Failure;

/// From `Inserted` to the moment the host sees the drive, seconds of machine time (measured 55 to 60 on an R740xd).
const ATTACH_SECONDS: u64 = 55;
/// How long a slot still reads `Inserted` after an eject, with the fault `stale_insert`, seconds of machine time.
const STALE_SECONDS: u64 = 20;
/// Size of the two pieces an iDRAC reads before it accepts an image.
const PROBE_BYTES: u64 = 64 * 1024;
/// Time-out of one request to the image server. Network time, never scaled.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// One slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// URL of the image; `None` means empty.
    pub image: Option<String>,
    /// User name given for the image.
    pub user: Option<String>,
    /// When the host sees the drive.
    pub attach_at: Option<DateTime<Utc>>,
    /// Until when an ejected slot still reads as inserted.
    pub stale_until: Option<DateTime<Utc>>,
    /// The image that a stale slot still shows.
    pub stale_image: Option<String>,
    /// Bytes of the image.
    pub size_bytes: u64,
}

impl Slot {
    /// Whether the slot reads as inserted, and with which image.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        if let Some(image) = &self.image {
            return Some(image);
        }
        let stale = self.stale_until.is_some_and(|until| until > Utc::now());
        if stale { self.stale_image.as_deref() } else { None }
    }

    /// Whether the host sees the drive.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.image.is_some() && self.attach_at.is_some_and(|at| at <= Utc::now())
    }

    /// Whether the image is one that boots.
    #[must_use]
    pub fn is_optical(&self) -> bool {
        self.image.as_deref().is_some_and(|image| image.to_ascii_lowercase().ends_with(".iso"))
    }
}

/// What an insert asks for.
#[derive(Debug, Clone)]
pub struct InsertRequest {
    /// The image.
    pub image: String,
    /// User for the image server.
    pub user: Option<String>,
    /// Password for the image server.
    pub password: Option<String>,
}

impl Bmc {
    /// Inserts an image into slot 0 or 1. `device` is the name the client used, for messages.
    ///
    /// # Errors
    /// The refusal an iDRAC answers with.
    pub async fn insert_media(
        self: &Arc<Self>,
        slot: usize,
        device: &str,
        request: InsertRequest,
    ) -> Result<(), Failure> {
        let mut outcome = self.try_insert(slot, device, &request).await;
        let (late, lies) = {
            let state = self.state();
            (state.kept.faults.insert_late, state.kept.faults.insert_fails_but_attaches)
        };
        if let Some(late) = late {
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        if lies && outcome.is_ok() {
            outcome = Err(Failure::new(StatusCode::BAD_REQUEST, "RAC0720").arg(request.image.clone()));
        }
        {
            let mut state = self.state();
            match &outcome {
                Ok(()) => {
                    state.kept.counters.inserts += 1;
                    state.kept.counters.writes += 1;
                    state.log("RAC0721", "OK", "Audit", "The remote share %1 is attached.", &[&request.image]);
                }
                Err(failure) => {
                    state.kept.counters.inserts_refused += 1;
                    state.log(
                        "RAC0720",
                        "Warning",
                        "Audit",
                        "The remote share %1 cannot be attached: %2.",
                        &[&request.image, failure.id],
                    );
                }
            }
        }
        self.save();
        outcome
    }

    async fn try_insert(self: &Arc<Self>, slot: usize, device: &str, request: &InsertRequest) -> Result<(), Failure> {
        let refused = |status: StatusCode, id: &'static str| Failure::new(status, id).arg(request.image.clone());
        let lower = request.image.to_ascii_lowercase();
        if request.image.contains(['?', '&']) {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS425")
                .arg(request.image.clone())
                .arg("Image")
                .about("Image"));
        }
        let fits = match device {
            "CD" => lower.ends_with(".iso"),
            "RemovableDisk" => lower.ends_with(".img"),
            _ => lower.ends_with(".iso") || lower.ends_with(".img"),
        };
        if !fits {
            return Err(refused(StatusCode::BAD_REQUEST, "SYS453").arg(device));
        }
        let unreachable = {
            let mut state = self.state();
            let after_eject = std::mem::take(&mut state.live.just_ejected);
            let faults = &state.kept.faults;
            if faults.insert_5xx_after_eject && after_eject {
                return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "SYS446"));
            }
            if faults.media_in_use {
                return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "VRM0021"));
            }
            if state.kept.media[slot].image.is_some() {
                return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "VRM0012"));
            }
            state.kept.faults.media_unreachable
        };
        if unreachable {
            return Err(refused(StatusCode::BAD_REQUEST, "RAC0904"));
        }
        let size_bytes = self.probe_image(request).await.map_err(|id| refused(StatusCode::BAD_REQUEST, id))?;
        {
            let mut state = self.state();
            if state.kept.media[slot].image.is_some() {
                return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "VRM0012"));
            }
            let attach = self.shared.scale.shorten(Duration::from_secs(ATTACH_SECONDS));
            let never = state.kept.faults.media_never_attaches || self.config.vm;
            state.kept.media[slot] = Slot {
                image: Some(request.image.clone()),
                user: request.user.clone(),
                attach_at: (!never).then(|| Utc::now() + attach),
                stale_until: None,
                stale_image: None,
                size_bytes,
            };
            state.live.dirty = true;
        }
        if self.config.vm {
            let attach = self.shared.scale.shorten(Duration::from_secs(ATTACH_SECONDS));
            self.vm_fetch_image(slot, request.image.clone(), size_bytes, attach);
        }
        Ok(())
    }

    /// Ejects whatever is in a slot.
    ///
    /// # Errors
    /// When the slot is empty.
    pub fn eject_media(self: &Arc<Self>, slot: usize) -> Result<(), Failure> {
        {
            let mut state = self.state();
            if state.kept.media[slot].image.is_none() {
                return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "VRM0009"));
            }
            let image = state.kept.media[slot].image.take();
            let mut empty = Slot::default();
            if state.kept.faults.stale_insert {
                empty.stale_until = Some(Utc::now() + self.shared.scale.shorten(Duration::from_secs(STALE_SECONDS)));
                empty.stale_image = image.clone();
            }
            state.kept.media[slot] = empty;
            state.live.just_ejected = true;
            state.kept.counters.ejects += 1;
            state.kept.counters.writes += 1;
            let image = image.unwrap_or_default();
            state.log("RAC0725", "OK", "Audit", "The remote share %1 is detached.", &[&image]);
        }
        self.save();
        self.vm_remove_image();
        Ok(())
    }

    /// Reads the image as an iDRAC does before it accepts it; returns its size, or the message id of the refusal.
    async fn probe_image(&self, request: &InsertRequest) -> Result<u64, &'static str> {
        let url = url::Url::parse(&request.image).map_err(|_| "RAC0904")?;
        if !matches!(url.scheme(), "http" | "https") {
            // NFS and CIFS exist on an iDRAC; no such share can exist here.
            return Err("RAC0904");
        }
        let ask = |method: http::Method| {
            let mut builder = self.shared.http.request(method, url.clone()).timeout(IMAGE_TIMEOUT);
            if let Some(user) = &request.user {
                builder = builder.basic_auth(user, request.password.as_deref());
            }
            builder
        };
        let head = ask(http::Method::HEAD).send().await.map_err(|_| "RAC0904")?;
        self.state().kept.counters.image_requests += 1;
        if !head.status().is_success() {
            return Err(if matches!(head.status().as_u16(), 401 | 403 | 404) { "RAC0720" } else { "RAC0904" });
        }
        let size: u64 = head
            .headers()
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .filter(|size| *size > 0)
            .ok_or("RAC0904")?;
        let last = size - 1;
        for (from, to) in [(0, last.min(PROBE_BYTES - 1)), (size.saturating_sub(PROBE_BYTES), last)] {
            let piece = ask(http::Method::GET)
                .header(http::header::RANGE, format!("bytes={from}-{to}"))
                .send()
                .await
                .map_err(|_| "RAC0904")?;
            if piece.status() != StatusCode::PARTIAL_CONTENT {
                // A server without ranges cannot back a drive that is read in pieces.
                return Err("RAC0720");
            }
            let bytes = piece.bytes().await.map_err(|_| "RAC0904")?;
            let mut state = self.state();
            state.kept.counters.image_requests += 1;
            state.kept.counters.image_bytes += bytes.len() as u64;
            drop(state);
            if bytes.len() as u64 != to - from + 1 {
                return Err("RAC0720");
            }
        }
        Ok(size)
    }
}
