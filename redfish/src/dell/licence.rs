//! `DellLicenses`: the edition stands only in the description, and what it allows is found by asking, not by its name.

use serde::Deserialize;

use crate::lenient::{opt, texts};
use crate::odata::resource;

/// An installed licence.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Licence {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(rename = "EntitlementID", alias = "EntitlementId", deserialize_with = "opt")]
    pub entitlement_id: Option<String>,
    /// `iDRAC9 16G Enterprise License`.
    #[serde(rename = "LicenseDescription", deserialize_with = "texts")]
    pub description: Vec<String>,
    /// `Perpetual`, `Evaluation`, …
    #[serde(rename = "LicenseType", deserialize_with = "opt")]
    pub kind: Option<String>,
    /// `OK`, `Warning`, `Critical`.
    #[serde(rename = "LicensePrimaryStatus", deserialize_with = "opt")]
    pub status: Option<String>,
    #[serde(rename = "LicenseEndDate", alias = "ExpirationDate", deserialize_with = "opt")]
    pub end_date: Option<String>,
    #[serde(rename = "EvalLicenseTimeRemainingDays", deserialize_with = "opt")]
    pub days_left: Option<u32>,
}

resource!(Licence);
