//! Enrolment: from BMC addresses to nodes.
//!
//! `line` checks what was sent, before anything is contacted; `accept` makes the bulk action; `item` does one line: it
//! looks at the BMC (`identify`), and writes what was found (`settle`). Nothing is written to a BMC but login and logout.
//! A line that fails makes no node and stays in its bulk action with the reason (`failure`).

mod accept;
pub(crate) mod failure;
pub(crate) mod identify;
mod item;
pub(crate) mod line;
mod settle;

pub(crate) use self::accept::accept;
pub(crate) use self::item::work;
