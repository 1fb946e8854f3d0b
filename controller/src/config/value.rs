//! One given value, from a file or as text, read as the type a setting wants.
//!
//! Errors are plain sentences without the place; `load` adds where the value stands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use toml_edit::Item;

use crate::config::advertise::{AdvertiseSetting, HostPort};

/// A value as it was given.
pub(crate) enum Given<'a> {
    /// From the environment or a flag.
    Text(&'a str),
    /// From the file.
    Toml(&'a Item),
}

impl Given<'_> {
    /// A text; an empty one is refused, for it is a forgotten variable more often than a wish.
    pub(crate) fn text(&self) -> Result<String, String> {
        let text = match self {
            Self::Text(text) => *text,
            Self::Toml(item) => {
                item.as_str().ok_or_else(|| format!("a text in quotes is wanted, not {}", kind(item)))?
            }
        };
        if text.trim().is_empty() { Err("the value is empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    /// A path.
    pub(crate) fn path(&self) -> Result<PathBuf, String> {
        self.text().map(PathBuf::from)
    }

    /// A local address with its port, e.g. `0.0.0.0:8443`.
    pub(crate) fn socket_address(&self) -> Result<SocketAddr, String> {
        let text = self.text()?;
        SocketAddr::from_str(&text)
            .map_err(|_| format!("{text:?} is no address with a port, such as \"0.0.0.0:8443\" or \"[::]:8443\""))
    }

    /// A whole number within limits.
    pub(crate) fn whole(&self, least: u32, most: u32) -> Result<u32, String> {
        let number = match self {
            Self::Text(text) => text.trim().parse::<i64>().map_err(|_| format!("{text:?} is no whole number"))?,
            Self::Toml(item) => {
                item.as_integer().ok_or_else(|| format!("a whole number is wanted, not {}", kind(item)))?
            }
        };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("{number} is not between {least} and {most}")),
        }
    }

    /// A number within limits.
    pub(crate) fn number(&self, least: f64, most: f64) -> Result<f64, String> {
        let number = match self {
            Self::Text(text) => text.trim().parse::<f64>().map_err(|_| format!("{text:?} is no number"))?,
            Self::Toml(item) => item
                .as_float()
                .or_else(|| item.as_integer().and_then(|whole| i32::try_from(whole).ok()).map(f64::from))
                .ok_or_else(|| format!("a number is wanted, not {}", kind(item)))?,
        };
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(format!("{number} is not between {least} and {most}"))
        }
    }

    /// Seconds, whole or not, within limits.
    pub(crate) fn seconds(&self, least: f64, most: f64) -> Result<Duration, String> {
        self.number(least, most).map(Duration::from_secs_f64)
    }

    /// One word out of a few.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("{text:?} is none of: {}", known.join(", "))
        })
    }

    /// One address for all, or a table by subnet of who dials: `{ "10.0.7.0/24" = "10.0.7.2:8080", default = "…" }`.
    /// As text the table is written `10.0.7.0/24=10.0.7.2:8080,default=…`.
    pub(crate) fn advertise(&self) -> Result<AdvertiseSetting, String> {
        match self {
            Self::Text(text) if text.contains('=') => {
                let pairs: Vec<(String, String)> = text
                    .split(',')
                    .map(|pair| {
                        let (subnet, address) =
                            pair.split_once('=').ok_or_else(|| format!("{pair:?} is not SUBNET=HOST:PORT"))?;
                        Ok((subnet.trim().to_owned(), address.trim().to_owned()))
                    })
                    .collect::<Result<_, String>>()?;
                by_subnet(pairs)
            }
            Self::Text(_) => HostPort::from_str(&self.text()?).map(AdvertiseSetting::One),
            Self::Toml(item) => match item.as_table_like() {
                Some(table) => by_subnet(
                    table
                        .iter()
                        .map(|(subnet, address)| {
                            let address = address
                                .as_str()
                                .ok_or_else(|| format!("\"{subnet}\" wants \"HOST:PORT\", not {}", kind(address)))?;
                            Ok((subnet.to_owned(), address.to_owned()))
                        })
                        .collect::<Result<Vec<_>, String>>()?,
                ),
                None => HostPort::from_str(&self.text()?).map(AdvertiseSetting::One),
            },
        }
    }
}

fn by_subnet(pairs: Vec<(String, String)>) -> Result<AdvertiseSetting, String> {
    let mut subnets = Vec::new();
    let mut default = None;
    for (subnet, address) in pairs {
        let address = HostPort::from_str(&address)?;
        if subnet == "default" {
            default = Some(address);
            continue;
        }
        let net = IpNet::from_str(&subnet).map_err(|_| {
            format!("\"{subnet}\" is neither a subnet such as \"10.0.7.0/24\" nor the word \"default\"")
        })?;
        subnets.push((net.trunc(), address));
    }
    // The narrowest subnet that holds an address decides.
    subnets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
    Ok(AdvertiseSetting::BySubnet { subnets, default })
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Table(_) | Item::Value(toml_edit::Value::InlineTable(_)) => "a table",
        Item::ArrayOfTables(_) | Item::Value(toml_edit::Value::Array(_)) => "a list",
        Item::Value(toml_edit::Value::String(_)) => "a text",
        Item::Value(toml_edit::Value::Integer(_)) => "a whole number",
        Item::Value(toml_edit::Value::Float(_)) => "a number",
        Item::Value(toml_edit::Value::Boolean(_)) => "true or false",
        Item::Value(toml_edit::Value::Datetime(_)) => "a date",
    }
}
