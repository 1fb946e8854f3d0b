//! Bulk actions: one action over many lines or nodes, resumable, with a result for each.
//!
//! `create` makes one. `run` works on items of enrolment and power, a bounded number at a time and fairly between bulk
//! actions, and brings items whose work is a workflow to the end of that workflow. Items are claimed for a time, so a crash
//! leaves none hanging.

mod create;
mod power;
mod run;

pub(crate) use self::create::{Created, create};
pub(crate) use self::power::{PowerInput, title as power_title};
pub use self::run::run;
