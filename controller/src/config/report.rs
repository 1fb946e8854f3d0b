//! What `helixd check-config` prints: every setting with its value, source and meaning, and how helixd is reached.

use std::net::IpAddr;

use crate::config::advertise::Advertise;
use crate::config::load::{Loaded, Source, variable};
use crate::config::setting::SETTINGS;

/// The effective configuration as text. `bmcs` are addresses to show the advertised URLs for.
#[must_use]
pub fn report(loaded: &Loaded, bmcs: &[IpAddr]) -> String {
    let mut out = String::new();
    for setting in SETTINGS {
        let source = loaded.sources.get(setting.key).unwrap_or(&Source::Default);
        let value = (setting.show)(&loaded.config);
        out.push_str(&format!(
            "{} = {value}\n    from: {source} (variable {})\n    {}\n\n",
            setting.key,
            variable(setting.key),
            setting.about
        ));
    }
    let config = &loaded.config;
    let advertise = Advertise::from_config(config);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line("Listeners".to_owned());
    line(format!("  api     https  {}  reached at {}", config.api.listen, advertise.api()));
    line(format!("  agents  tls    {}  nodes dial {}", config.agents.listen, config.agents.advertise));
    line(format!("  media   http   {}  BMCs dial {}", config.media.listen, config.media.advertise));
    for bmc in bmcs {
        let media = advertise
            .media_for(*bmc)
            .map_or_else(|error| error.to_string(), |address| format!("http://{address}/media/…"));
        let agents = advertise
            .agents_for(*bmc)
            .map_or_else(|error| error.to_string(), |addresses| format!("https://{}", addresses.join(", https://")));
        line(format!("  for the BMC {bmc}: media {media}, agents {agents}"));
    }
    line(format!("Names in the server certificates: {}", advertise.certificate_names().all().join(", ")));
    out
}
