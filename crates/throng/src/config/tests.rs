//! The sample is the manual: what it says is read, and is so.

use super::*;

fn uncommented(sample: &str) -> String {
    sample
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_sample_file_is_the_one_in_docs() {
    assert_eq!(
        sample(),
        include_str!("../../../../docs/reference/throng.toml")
    );
}

#[test]
fn every_setting_of_the_sample_is_read_and_none_is_left_out() {
    let args: ServeArgs = toml::from_str(&uncommented(&sample())).unwrap();
    let shown = format!("{args:?}");
    assert_eq!(
        shown.matches("None").count(),
        4,
        "only `config` and the three flags of the engine are not settings of the file: {shown}"
    );
}

#[test]
fn the_defaults_of_the_sample_are_the_defaults() {
    let defaults: Vec<_> = SETTINGS
        .iter()
        .filter(|s| s.is_default)
        .map(|s| format!("{} = {}", s.key, s.example))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), defaults.join("\n")).unwrap();
    let filed = ServeArgs {
        config: Some(file.path().to_owned()),
        ..ServeArgs::default()
    };
    assert_eq!(
        Config::resolve(filed).unwrap(),
        Config::resolve(ServeArgs::default()).unwrap()
    );
}

#[test]
fn a_bound_of_memory_in_which_nobody_could_listen_is_refused() {
    let config = |bytes, air_workers| {
        let mut args = ServeArgs {
            air_workers: Some(air_workers),
            ..ServeArgs::default()
        };
        args.engine.memory_max = NonZeroU64::new(bytes);
        Config::resolve(args)
    };
    assert!(config(256 << 20, 2).is_ok());
    let told = config((256 << 20) - 1, 2).unwrap_err().to_string();
    assert!(
        told.contains("268435455 bytes") && told.contains("2 workers"),
        "{told}"
    );
    assert!(config(1, 0).is_ok(), "one process has no shares");
}

#[test]
fn houses_with_room_are_urls_and_not_too_many() {
    let resolve = |overflow: Vec<String>| {
        Config::resolve(ServeArgs {
            overflow: Some(overflow),
            ..ServeArgs::default()
        })
    };
    let edge = |number: usize| format!("https://edge-{number}.example.org/");
    let config = resolve((0..EDGES_MAX).map(edge).collect()).unwrap();
    assert_eq!(config.overflow[1], "https://edge-1.example.org");
    assert!(resolve((0..=EDGES_MAX).map(edge).collect()).is_err());
    for other in ["edge.example.org", "ftp://a", "/s/a", ""] {
        assert!(resolve(vec![other.to_owned()]).is_err(), "{other}");
    }
}

#[test]
fn a_flag_wins_over_the_file_and_unknown_keys_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "listen = \"127.0.0.1:1\"\ndesk = \"127.0.0.1:2\"\n",
    )
    .unwrap();
    let args = ServeArgs {
        listen: Some("127.0.0.1:3".parse().unwrap()),
        config: Some(file.path().to_owned()),
        ..ServeArgs::default()
    };
    let config = Config::resolve(args.clone()).unwrap();
    assert_eq!((config.listen.port(), config.desk.port()), (3, 2));
    std::fs::write(file.path(), "rung = 5\n").unwrap();
    let error = Config::resolve(args.clone()).unwrap_err().to_string();
    assert!(error.contains("0 to 4"), "{error}");
    std::fs::write(file.path(), "lissten = \"127.0.0.1:1\"\n").unwrap();
    let error = Config::resolve(args).unwrap_err().to_string();
    assert!(error.contains("lissten"), "{error}");
    assert!(error.contains("expected one of `listen`"), "{error}");
}

#[test]
fn proxies_are_networks_in_flags_and_file_alike() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let filed = |line: &str| {
        std::fs::write(file.path(), line).unwrap();
        Config::resolve(ServeArgs {
            config: Some(file.path().to_owned()),
            ..ServeArgs::default()
        })
    };
    let config = filed("trusted_proxy = [\"10.0.0.0/8\", \"2001:db8::1\"]\n").unwrap();
    let proxies = config.trusted_proxies();
    assert!(proxies.trusts("10.9.9.9".parse().unwrap()));
    assert!(proxies.trusts("2001:db8::1".parse().unwrap()));
    assert!(!proxies.trusts("127.0.0.1".parse().unwrap()));
    let error = filed("trusted_proxy = [\"10.0.0.0/33\"]\n").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"10.0.0.0/33\" is not a network"),
        "{error}"
    );
    let many = vec!["10.0.0.1".parse().unwrap(); PROXY_NETWORKS_MAX + 1];
    let too_many = ServeArgs {
        trusted_proxy: Some(many),
        ..ServeArgs::default()
    };
    assert!(Config::resolve(too_many).is_err());
}
