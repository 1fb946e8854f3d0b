//! `VirtualMedia`: finding the slot, inserting, ejecting, and whether the host can see it.
//!
//! On Dell `Inserted` turns true at once and the host sees the drive up to a minute later; that shows only in the attribute
//! `RFS.n.MediaAttachState`. Boot before it, and the local disk starts.

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::dell::attributes::{AttributeGroup, DellAttributes};
use crate::error::RedfishError;
use crate::lenient::{object, opt, texts};
use crate::odata::{Link, resource};
use crate::system::System;

/// A slot for virtual media.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VirtualMedia {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `1`, `2`, `CD`, `RemovableDisk`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub media_types: Vec<String>,
    #[serde(deserialize_with = "opt")]
    pub inserted: Option<bool>,
    /// The URL inserted.
    #[serde(deserialize_with = "opt")]
    pub image: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub image_name: Option<String>,
    /// `NotConnected`, `URI`, `Applet`.
    #[serde(deserialize_with = "opt")]
    pub connected_via: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub write_protected: Option<bool>,
    #[serde(deserialize_with = "object")]
    actions: Option<MediaActions>,
}

resource!(VirtualMedia);

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct MediaActions {
    #[serde(rename = "#VirtualMedia.InsertMedia", deserialize_with = "object")]
    insert: Option<Action>,
    #[serde(rename = "#VirtualMedia.EjectMedia", deserialize_with = "object")]
    eject: Option<Action>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Action {
    #[serde(deserialize_with = "opt")]
    target: Option<String>,
}

/// The slot to use, found once and kept by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSlot {
    /// Path of the resource.
    pub uri: String,
    insert: String,
    eject: String,
    /// Number of the remote file share behind it, on Dell.
    share: Option<u8>,
}

/// What is in a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaState {
    pub inserted: bool,
    /// The URL, as the BMC shows it.
    pub image: Option<String>,
    /// Whether the host sees the drive; `None` where the BMC does not tell (everything but Dell), and then `inserted` is all
    /// there is.
    pub attached: Option<bool>,
}

#[derive(Serialize)]
struct InsertBody<'a> {
    #[serde(rename = "Image")]
    image: &'a str,
    #[serde(rename = "Inserted")]
    inserted: bool,
    #[serde(rename = "WriteProtected")]
    write_protected: bool,
}

#[derive(Serialize)]
struct Empty {}

impl Client {
    /// All slots: those of the system first, then those of the manager, each in the order of their ids.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn virtual_media(&self) -> Result<Vec<VirtualMedia>, RedfishError> {
        let place = self.place().await?;
        let root = self.root().await?;
        let mut found = Vec::new();
        let mut collections = Vec::new();
        if root.is_dell() {
            collections.push(format!("{}/VirtualMedia", place.system));
        } else {
            let system = self.read::<System>(&place.system).await?.value;
            collections.extend(system.virtual_media.as_ref().and_then(Link::uri).map(str::to_owned));
        }
        if let Some(manager) = &place.manager {
            collections.push(format!("{manager}/VirtualMedia"));
        }
        for uri in collections {
            match self.members::<VirtualMedia>(&uri).await {
                Ok(slots) => found.extend(slots.members),
                Err(error) if error.ends_all() => return Err(error),
                Err(error)
                    if error.is_missing() || error.status().is_some_and(|status| status == 405 || status == 501) => {}
                Err(error) => return Err(error),
            }
            // Newer iDRACs list both places but serve only the first (RAC0904 on the other).
            if found.iter().any(is_optical) {
                break;
            }
        }
        Ok(found)
    }

    /// The slot to boot an ISO from. On an iDRAC with two alike slots it is the first: of an iDRAC10 only that boots.
    ///
    /// # Errors
    /// `NotSupported` when there is none; what a request can end with.
    pub async fn media_slot(&self) -> Result<MediaSlot, RedfishError> {
        let dell = self.root().await?.is_dell();
        let slot = self.virtual_media().await?.into_iter().find(is_optical);
        let Some(slot) = slot else {
            return Err(self.not_supported("insert virtual media", "it has no slot for a CD"));
        };
        let Some(uri) = slot.uri.clone() else {
            return Err(self.not_supported("insert virtual media", "the slot for a CD has no path"));
        };
        let actions = slot.actions.unwrap_or_default();
        let target = |action: Option<Action>, name: &str| {
            action.and_then(|action| action.target).unwrap_or_else(|| format!("{uri}/Actions/VirtualMedia.{name}"))
        };
        Ok(MediaSlot {
            insert: target(actions.insert, "InsertMedia"),
            eject: target(actions.eject, "EjectMedia"),
            share: dell.then(|| if slot.id.as_deref() == Some("2") { 2 } else { 1 }),
            uri,
        })
    }

    /// What is in the slot. On Dell this reads the iDRAC's attributes too (1 to 3 s) while something is inserted.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn media_state(&self, slot: &MediaSlot) -> Result<MediaState, RedfishError> {
        let media = self.read::<VirtualMedia>(&slot.uri).await?.value;
        let inserted = media.inserted.unwrap_or(media.image.is_some());
        let attached = match slot.share {
            Some(share) if inserted => match self.attributes(AttributeGroup::Idrac).await {
                Ok(attributes) => attributes.media_attached(share),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            },
            _ => None,
        };
        Ok(MediaState { inserted, image: media.image, attached })
    }

    /// Inserts an image. The BMC opens it before it answers, so this takes seconds to a minute.
    ///
    /// # Errors
    /// RAC0904 (`Permanent`): the BMC cannot reach the URL. RAC0720 (`Permanent`): it could not mount the image, and yet may
    /// show it a minute later: look at the slot before trying anything else. VRM0012, VRM0021 (`Busy`): the slot is in use. `Timeout`: it may
    /// have worked; it is read here, and only when the slot does not show the image is the error returned. What a request can
    /// end with.
    pub async fn insert_media(&self, slot: &MediaSlot, url: &str) -> Result<(), RedfishError> {
        let body = InsertBody { image: url, inserted: true, write_protected: true };
        let outcome = self.post(&slot.insert, &body, self.limits().insert).await;
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.outcome_unknown() => {
                let media = self.read::<VirtualMedia>(&slot.uri).await?.value;
                let there = media.inserted == Some(true) && media.image.as_deref() == Some(url);
                if there { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Ejects whatever is in the slot. An empty slot is no error. The slot may read `Inserted` for a while after.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn eject_media(&self, slot: &MediaSlot) -> Result<(), RedfishError> {
        match self.post(&slot.eject, &Empty {}, self.limits().change).await {
            Ok(_) => Ok(()),
            // An iDRAC has many words for "nothing is connected" (VRM0009 and others): what counts is what is in the slot.
            Err(error) if error.ends_all() => Err(error),
            Err(error) => {
                let media = self.read::<VirtualMedia>(&slot.uri).await?.value;
                if media.inserted.unwrap_or(media.image.is_some()) { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Attributes of the iDRAC.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` elsewhere than on Dell.
    pub async fn attributes(&self, group: AttributeGroup) -> Result<DellAttributes, RedfishError> {
        let manager = self.dell_manager("read the attributes").await?;
        Ok(self.read(&format!("{manager}/Oem/Dell/DellAttributes/{}", group.id())).await?.value)
    }
}

fn is_optical(slot: &VirtualMedia) -> bool {
    slot.media_types.iter().any(|kind| kind == "CD" || kind == "DVD")
        || (slot.media_types.is_empty() && slot.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case("cd")))
}
