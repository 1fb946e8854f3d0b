//! Output: data on stdout in the format asked for, everything else on stderr.

use std::io::Write;

use serde::Serialize;

use crate::problem::{CtlError, Exit};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For eyes; may change, do not parse.
    #[default]
    Table,
    /// A table with every column.
    Wide,
    /// The API's objects as one JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// The API's objects as YAML.
    Yaml,
    /// Comma-separated values with a header.
    Csv,
    /// Names only, one a line, for pipes.
    Name,
}

impl Format {
    /// Whether a program reads it: then errors are JSON as well.
    #[must_use]
    pub fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }

    /// Whether it is one of the two tables.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Prints a line on stdout; a reader that has gone away ends the program quietly.
pub fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{text}")
        && error.kind() == std::io::ErrorKind::BrokenPipe
    {
        std::process::exit(Exit::Done as i32);
    }
}

/// Prints lines on stdout.
pub fn lines(texts: &[String]) {
    for text in texts {
        line(text);
    }
}

/// Prints a list in one of the formats for programs. `name` gives the name of an item.
///
/// # Errors
/// When a value cannot be written in that format.
pub fn list<T: Serialize>(format: Format, items: &[T], name: impl Fn(&T) -> String) -> Result<(), CtlError> {
    match format {
        Format::Json => line(&serde_json::to_string_pretty(items).map_err(unprintable)?),
        Format::Jsonl => {
            for item in items {
                line(&serde_json::to_string(item).map_err(unprintable)?);
            }
        }
        Format::Yaml => line(serde_norway::to_string(items).map_err(unprintable)?.trim_end()),
        Format::Csv => csv(items)?,
        Format::Name | Format::Table | Format::Wide => {
            for item in items {
                line(&name(item));
            }
        }
    }
    Ok(())
}

/// Prints one object in one of the formats for programs.
///
/// # Errors
/// When the value cannot be written in that format.
pub fn object<T: Serialize>(format: Format, item: &T, name: &str) -> Result<(), CtlError> {
    match format {
        Format::Json => line(&serde_json::to_string_pretty(item).map_err(unprintable)?),
        Format::Jsonl => line(&serde_json::to_string(item).map_err(unprintable)?),
        Format::Yaml => line(serde_norway::to_string(item).map_err(unprintable)?.trim_end()),
        Format::Csv => csv(std::slice::from_ref(item))?,
        Format::Name | Format::Table | Format::Wide => line(name),
    }
    Ok(())
}

/// Nested objects become columns with dotted names; lists become JSON in one cell.
fn csv<T: Serialize>(items: &[T]) -> Result<(), CtlError> {
    let mut rows = Vec::new();
    let mut headers: Vec<String> = Vec::new();
    for item in items {
        let value = serde_json::to_value(item).map_err(unprintable)?;
        let mut row = Vec::new();
        flatten("", &value, &mut row);
        for (key, _) in &row {
            if !headers.contains(key) {
                headers.push(key.clone());
            }
        }
        rows.push(row);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&headers).map_err(unprintable)?;
    for row in rows {
        let cells = headers.iter().map(|header| {
            row.iter().find(|(key, _)| key == header).map(|(_, value)| value.as_str()).unwrap_or_default()
        });
        writer.write_record(cells).map_err(unprintable)?;
    }
    let bytes = writer.into_inner().map_err(unprintable)?;
    line(String::from_utf8_lossy(&bytes).trim_end());
    Ok(())
}

fn flatten(prefix: &str, value: &serde_json::Value, row: &mut Vec<(String, String)>) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, row);
            }
        }
        Value::Null => row.push((prefix.to_owned(), String::new())),
        Value::String(text) => row.push((prefix.to_owned(), text.clone())),
        other => row.push((prefix.to_owned(), other.to_string())),
    }
}

fn unprintable(error: impl std::fmt::Display) -> CtlError {
    CtlError::new(Exit::Failed, "output_unprintable", "cannot write the answer in this format")
        .because(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_become_dotted_columns() {
        let mut row = Vec::new();
        flatten("", &serde_json::json!({ "name": "r01u05", "gpu": { "count": 8 }, "rack": null }), &mut row);
        row.sort();
        assert_eq!(
            row,
            [
                ("gpu.count".to_owned(), "8".to_owned()),
                ("name".to_owned(), "r01u05".to_owned()),
                ("rack".to_owned(), String::new())
            ]
        );
    }
}
