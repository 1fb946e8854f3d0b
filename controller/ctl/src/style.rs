//! Marks and colours: `● ▲ ⬣ ◇ ◐ »`, ASCII where the locale is not UTF-8. Colour repeats what the word says.

use console::Style;
use helix_inventory::words::{self, Health, Lifecycle, WorkflowState};

/// How things are drawn on this output.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    pub colour: bool,
    pub unicode: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColourChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl Palette {
    /// Decides by the choice, `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the locale.
    #[must_use]
    pub fn detect(choice: ColourChoice, is_terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let colour = match choice {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => {
                let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
                set("CLICOLOR_FORCE") || (is_terminal && !set("NO_COLOR") && !dumb)
            }
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_ascii_lowercase();
        Self { colour, unicode: locale.contains("utf-8") || locale.contains("utf8") }
    }

    fn mark(self, shape: &str) -> &'static str {
        let (unicode, ascii) = match shape {
            "dot" | "tick" => ("●", "ok"),
            "triangle" => ("▲", "!"),
            "octagon" | "cross" => ("⬣", "X"),
            "hollow_diamond" => ("◇", "?"),
            "half_dot" => ("◐", "~"),
            "clock" => ("◷", "~"),
            "hand" => ("▲", "!"),
            "double_chevron" => ("»", ">"),
            "filled_diamond" => ("◆", "X"),
            "two_bars" => ("▮▮", "="),
            "hollow_square" => ("□", "-"),
            "filled_square" => ("■", "+"),
            "struck_square" => ("☒", "x"),
            "hollow_dot" => ("○", "-"),
            "bar" => ("▬", "-"),
            _ => ("·", "."),
        };
        if self.unicode { unicode } else { ascii }
    }

    fn word(self, kind: &str, value: &str) -> String {
        let Some(word) = words::word(kind, value) else { return value.to_owned() };
        let text = format!("{} {}", self.mark(&word.shape), word.word);
        let style = match word.token.as_str() {
            "ok" => Style::new().green(),
            "warn" => Style::new().yellow(),
            "crit" => Style::new().red(),
            "info" => Style::new().blue(),
            "hold" => Style::new().magenta(),
            _ => return text,
        };
        if self.colour { style.force_styling(true).apply_to(text).to_string() } else { text }
    }

    /// `◐ Provisioning`
    #[must_use]
    pub fn lifecycle(self, state: Lifecycle) -> String {
        self.word(Lifecycle::KIND, state.as_str())
    }

    /// `● OK`
    #[must_use]
    pub fn health(self, health: Health) -> String {
        self.word(Health::KIND, health.as_str())
    }

    /// `▲ Needs you`
    #[must_use]
    pub fn workflow(self, state: WorkflowState) -> String {
        self.word(WorkflowState::KIND, state.as_str())
    }

    /// Dim text, for what matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        if self.colour { Style::new().dim().force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }

    /// Bold text, for headings.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        if self.colour { Style::new().bold().force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_utf8_every_mark_is_ascii() {
        let palette = Palette { colour: false, unicode: false };
        for state in Lifecycle::ALL {
            assert!(palette.lifecycle(*state).is_ascii(), "{}", palette.lifecycle(*state));
        }
        assert_eq!(palette.health(Health::Failed), "X Failed");
    }

    #[test]
    fn colour_repeats_the_word() {
        let palette = Palette { colour: true, unicode: true };
        assert!(palette.workflow(WorkflowState::NeedsHuman).contains("▲ Needs you"));
    }
}
