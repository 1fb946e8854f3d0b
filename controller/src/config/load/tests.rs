//! What an admin is told about a configuration that is not right.

use super::*;
use crate::config::LogFormat;

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("helixd.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), Vec::new(), &[])
}

fn complaint(text: &str) -> String {
    let text = from_file(text).unwrap_err().to_string();
    // The folder's name is random.
    text.lines()
        .map(|line| line.split_once("helixd.toml:").map_or(line, |(_, rest)| rest))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
    let said = complaint("data_dir = \"/x\"\n\n[media]\nlistne = \"0.0.0.0:80\"\n");
    assert_eq!(said, "4: there is no setting \"media.listne\"; did you mean \"media.listen\"?");
}

#[test]
fn an_unknown_section_is_refused_with_its_line() {
    let said = complaint("[medai]\nlisten = \"0.0.0.0:80\"\n");
    assert_eq!(said, "1: there is no section \"medai\"; did you mean \"media\"?");
}

#[test]
fn a_key_in_no_section_or_the_wrong_one_is_led_to_its_own() {
    assert!(complaint("deploy_iso = \"/x\"\n").contains("did you mean \"media.deploy_iso\"?"));
    assert!(complaint("[api]\nagent_binary = \"/x\"\n").contains("did you mean \"media.agent_binary\"?"));
}

#[test]
fn all_problems_are_told_at_once() {
    let said = complaint("time_scale = 0\n[api]\nlisten = \"8443\"\n[log]\nformat = \"xml\"\nfilter = 3\n");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "1: time_scale: 0 is not between 0.1 and 10000");
    assert!(lines[1].starts_with("3: api.listen: \"8443\" is no address with a port"), "{said}");
    assert_eq!(lines[2], "5: log.format: \"xml\" is none of: text, json");
    assert_eq!(lines[3], "6: log.filter: a text in quotes is wanted, not a whole number");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let said = complaint("time_scale = 1\n[api\n");
    assert!(said.starts_with("2: not valid TOML"), "{said}");
}

#[test]
fn a_section_written_as_a_value_is_explained() {
    assert!(complaint("api = \"0.0.0.0:1\"\n").contains("\"api\" is a section: write [api]"));
}

#[test]
fn the_environment_beats_the_file_and_flags_beat_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("helixd.toml");
    std::fs::write(&path, "time_scale = 2\n[log]\nformat = \"json\"\n[api]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let environment = vec![
        ("HELIXD_TIME_SCALE".to_owned(), "3".to_owned()),
        ("HELIXD_API__LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    let loaded = load(Some(&path), environment, &["time_scale=4".to_owned()]).unwrap();
    assert!((loaded.config.time_scale - 4.0).abs() < f64::EPSILON);
    assert_eq!(loaded.config.api.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(loaded.config.log.format, LogFormat::Json);
    assert_eq!(loaded.sources["time_scale"], Source::Flag("--set time_scale".to_owned()));
    assert_eq!(loaded.sources["api.listen"], Source::Environment("HELIXD_API__LISTEN".to_owned()));
    assert_eq!(loaded.sources["log.format"], Source::File { path, line: 3 });
}

#[test]
fn a_misspelt_variable_is_refused_with_the_right_one() {
    let error = load(None, vec![("HELIXD_API__LISTN".to_owned(), "x".to_owned())], &[]).unwrap_err().to_string();
    assert_eq!(error, "HELIXD_API__LISTN: there is no setting \"api.listn\"; did you mean \"HELIXD_API__LISTEN\"?");
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    let error = load(None, Vec::new(), &["database.url=postgres://helix:hunter2@db/helix".to_owned()]).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("HELIXD_DATABASE__URL"), "{said}");
    assert!(!said.contains("hunter2"));
}

#[test]
fn advertised_addresses_come_as_text_or_by_subnet() {
    let loaded = from_file(
        "[media]\nadvertise = { \"10.0.7.0/24\" = \"10.0.7.2:8080\", default = \"helix.example:80\" }\n\
         [agents.advertise]\n\"127.20.0.0/16\" = \"10.0.2.2\"\n[api]\nadvertise = \"helix.example\"\n",
    )
    .unwrap();
    assert_eq!(loaded.config.media.advertise.to_string(), "10.0.7.0/24=10.0.7.2:8080,default=helix.example:80");
    assert_eq!(loaded.config.agents.advertise.to_string(), "127.20.0.0/16=10.0.2.2,others by route");
    assert_eq!(loaded.config.api.advertise.to_string(), "helix.example");
    assert!(
        complaint("[media]\nadvertise = { \"10.0.7.0/33\" = \"x:1\" }\n")
            .contains("2: media.advertise: \"10.0.7.0/33\"")
    );
}

#[test]
fn a_database_url_is_shown_without_its_password() {
    let loaded =
        from_file("[database]\nurl = \"postgres://helix:hunter2@db.example/helix?sslmode=require\"\n").unwrap();
    let shown = (find("database.url").unwrap().show)(&loaded.config);
    assert!(shown.contains("db.example"), "{shown}");
    assert!(!shown.contains("hunter2"));
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
}

#[test]
fn every_setting_reads_back_what_it_shows() {
    let defaults = Config::default();
    for setting in SETTINGS.iter().filter(|setting| !(setting.show)(&defaults).starts_with('(')) {
        let mut config = Config::default();
        (setting.apply)(&mut config, &Given::Text(&(setting.show)(&defaults)))
            .unwrap_or_else(|error| panic!("{}: {error}", setting.key));
        assert_eq!((setting.show)(&config), (setting.show)(&defaults), "{}", setting.key);
    }
}
