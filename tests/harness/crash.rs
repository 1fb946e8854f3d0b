//! Names of crash points, shared by the program that dies and the test that counts.

/// File name of a crash point.
#[must_use]
pub fn mark(step: &str, moment: &str, effect: Option<&str>) -> String {
    match effect {
        Some(effect) => format!("{step}.{effect}.{moment}"),
        None => format!("{step}.{moment}"),
    }
}
