//! Which nodes a command is for: names, ranges, tags, addresses, files; joined, `--except` taken away last.

use std::path::PathBuf;

use clap::Args;
use helix_api::client::Client;
use helix_api::node::Node;
use helix_api::select::{self, Selection};

use crate::problem::{CtlError, Exit};

/// Selection of nodes on a command line.
#[derive(Debug, Clone, Default, Args)]
pub struct Select {
    /// Names, ranges (r[01-12]u[1-40]), service tags, BMC addresses
    #[arg(value_name = "NODE")]
    pub forms: Vec<String>,
    /// Every node
    #[arg(long, conflicts_with_all = ["forms", "file"])]
    pub all: bool,
    /// One name or range a line, # comments; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Take these away
    #[arg(long, value_name = "NODE")]
    pub except: Vec<String>,
    /// First N in name order
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

impl Select {
    /// Whether nothing was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty() && !self.all && self.file.is_none()
    }

    /// The selection as the API takes it; ranges are checked here, so that a slip is shown where it stands.
    ///
    /// # Errors
    /// A range that does not parse, a file that cannot be read.
    pub fn selection(&self) -> Result<Selection, CtlError> {
        let mut forms = self.forms.clone();
        if let Some(file) = &self.file {
            let text = crate::ask::secret_from_file(file)?;
            forms.extend(
                text.lines()
                    .map(|line| line.split('#').next().unwrap_or_default().trim())
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned),
            );
        }
        for form in forms.iter().chain(&self.except) {
            select::expand(form).map_err(|error| {
                CtlError::new(Exit::Usage, error.code(), error.to_string()).next("helixctl node list --help")
            })?;
        }
        Ok(Selection { forms, except: self.except.clone(), all: self.all, limit: self.limit })
    }

    /// The nodes, for a verb that changes something: an empty selection is an error, never everything.
    ///
    /// # Errors
    /// Nothing named, or nothing matches (exit 4).
    pub async fn nodes(&self, client: &Client) -> Result<Vec<Node>, CtlError> {
        if self.is_empty() {
            return Err(CtlError::new(Exit::Nothing, "selection_empty", "no node was named")
                .next("name nodes, give -f FILE, or say --all for every node"));
        }
        let page = client.resolve(&self.selection()?).await?;
        if page.items.is_empty() {
            return Err(
                CtlError::new(Exit::Nothing, "selection_matches_nothing", "no node matches").next("helixctl node list")
            );
        }
        Ok(page.items)
    }
}

/// The names of nodes.
#[must_use]
pub fn names(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| node.name.clone()).collect()
}

/// A selection of exactly these nodes, so that what was confirmed is what is hit.
#[must_use]
pub fn exactly(nodes: &[Node]) -> Selection {
    Selection { forms: nodes.iter().map(|node| node.id.clone()).collect(), ..Selection::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_names_may_have_comments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "r01u05 # the noisy one\n\n# all of rack 2\nr02u[1-3]\n").unwrap();
        let select = Select { file: Some(file.path().to_owned()), ..Select::default() };
        assert_eq!(select.selection().unwrap().forms, ["r01u05", "r02u[1-3]"]);
    }

    #[test]
    fn a_slip_in_a_range_is_shown_before_anything_is_sent() {
        let select = Select { forms: vec!["r[9-3]".into()], ..Select::default() };
        let error = select.selection().unwrap_err();
        assert_eq!(error.code, "selection_range");
        assert!(error.message.contains("runs backwards"));
    }
}
