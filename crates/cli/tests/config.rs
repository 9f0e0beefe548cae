//! Commands that need no server: configuration, help, completions, manual pages.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use support::{bongsu, run};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_default_file_has_no_mistakes() {
    let dir = dir();
    let sample = run(dir.path(), ["config", "default"]).ok().out;
    std::fs::write(dir.path().join("bongsu.toml"), &sample).unwrap();
    let checked = run(dir.path(), ["config", "check"]).ok();
    assert_eq!(checked.out, "bongsu.toml: no mistakes (0 options set, 0 rules)\n");
    assert_eq!(checked.err, "");
}

#[test]
fn check_tells_every_mistake_with_its_line() {
    let dir = dir();
    let file = "listen = \"nowhere\"\n[storage]\nhistory_evnets = 5\n[[rules]]\nhistory_age = \"1d\"\n";
    std::fs::write(dir.path().join("bad.toml"), file).unwrap();
    let checked = run(dir.path(), ["config", "check", "bad.toml"]);
    let places = ["bad.toml:1:10", "bad.toml:3:1", "did you mean `history_events`?", "bad.toml:4:1", "3 errors"];
    assert_eq!(checked.fails(1, &places).out, "");
    run(dir.path(), ["config", "check", "none.toml"]).fails(1, &["none.toml cannot be read", "--config"]);
    std::fs::write(dir.path().join("latin.toml"), b"# fine\n# \xe9\n").unwrap();
    run(dir.path(), ["config", "check", "latin.toml"]).fails(1, &["latin.toml is not UTF-8 text: see line 2"]);
    run(dir.path(), ["serve", "--config", "bad.toml"]).fails(2, &places);
}

#[test]
fn show_says_where_each_value_comes_from() {
    let dir = dir();
    let file = "drain_timeout = 30\nlog_level = \"warn\"\n[[rules]]\nchannels = \"a:**\"\nhistory_age = \"1d\"\n";
    std::fs::write(dir.path().join("bongsu.toml"), file).unwrap();
    let mut command = bongsu(dir.path());
    command.args(["config", "show", "--listen", "127.0.0.1:9"]).env("BONGSU_DRAIN_TIMEOUT", "1m");
    let shown = support::Running::start(&mut command).end().ok().out;
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {shown}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("listen"), "127.0.0.1:9 --listen");
    assert_eq!(line("drain_timeout"), "1m BONGSU_DRAIN_TIMEOUT");
    assert_eq!(line("log_level"), "warn bongsu.toml:2");
    assert_eq!(line("limits.payload_bytes_max"), "1MiB default");
    assert_eq!(line("rule"), "channels=a:** history_age=1d bongsu.toml:4");
    assert!(!shown.contains("test_endpoints") && !shown.contains('\x1b'), "{shown}");

    command.arg("--json");
    let object: serde_json::Value =
        serde_json::from_str(&support::Running::start(&mut command).end().ok().out).unwrap();
    let cases = [
        ("/listen/value", "\"127.0.0.1:9\""),
        ("/listen/from", "\"--listen\""),
        ("/insecure/value", "false"),
        ("/storage.history_events/value", "100000"),
        ("/limits.payload_bytes_max/value", "\"1MiB\""),
        ("/rules/0/channels", "\"a:**\""),
        ("/rules/0/history_age", "\"1d\""),
    ];
    for (pointer, expected) in cases {
        assert_eq!(object.pointer(pointer).map(ToString::to_string).as_deref(), Some(expected), "{pointer}");
    }
}

#[test]
fn the_file_is_named_by_flag_then_variable_then_place() {
    let dir = dir();
    for (name, level) in [("bongsu.toml", "error"), ("env.toml", "warn"), ("flag.toml", "debug")] {
        std::fs::write(dir.path().join(name), format!("log_level = \"{level}\"")).unwrap();
    }
    let cases: [(Option<&str>, &[&str], &str); 4] = [
        (None, &[], "error"),
        (Some("env.toml"), &[], "warn"),
        (Some("env.toml"), &["--config", "flag.toml"], "debug"),
        (None, &["--config=flag.toml"], "debug"),
    ];
    for (env, args, expected) in cases {
        let mut command = bongsu(dir.path());
        command.args(["config", "show", "--json"]).args(args).envs(env.map(|path| ("BONGSU_CONFIG", path)));
        let shown = support::Running::start(&mut command).end().ok().out;
        let object: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(object["log_level"]["value"], expected, "{env:?} {args:?}");
    }
}

#[test]
fn warnings_are_told_and_stop_nothing() {
    let dir = dir();
    let mut command = bongsu(dir.path());
    command.args(["config", "check"]).env("BONGSU_LISTN", "127.0.0.1:9");
    let ran = support::Running::start(&mut command).end().ok();
    assert_eq!(ran.err, "warning: the environment variable BONGSU_LISTN means nothing; did you mean BONGSU_LISTEN?\n");
}

#[test]
fn wrong_command_lines_end_with_2_and_a_hint() {
    let dir = dir();
    let cases: [(&[&str], &[&str]); 9] = [
        (&[], &["Usage: bongsu"]),
        (&["srve"], &["unrecognized subcommand", "serve"]),
        (&["serve", "--listne", "x"], &["unexpected argument", "--listen"]),
        (&["serve", "--engine", "redis"], &["embedded, memory"]),
        (&["serve", "--listen", "nowhere", "--drain-timeout", "soon"], &["--listen cannot be \"nowhere\"", "2 errors"]),
        (&["serve", "--listen", "0.0.0.0:0"], &["other machines can reach", "--insecure"]),
        (&["serve", "--listen", "0.0.0.0:0", "--insecure", "--test-endpoints"], &["test_endpoints"]),
        (&["sub"], &["<CHANNEL>"]),
        (&["sub", "a", "--last", "0"], &["--last"]),
    ];
    for (args, says) in cases {
        assert_eq!(run(dir.path(), args).fails(2, says).out, "", "{args:?}");
    }
}

#[test]
fn completions_know_the_options() {
    let dir = dir();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(dir.path(), ["completions", shell]).ok().out;
        assert!(script.contains("payload-bytes-max") && script.contains("websocket"), "{shell}");
    }
    run(dir.path(), ["completions", "tcsh"]).fails(2, &["bash"]);
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let dir = dir();
    let page = run(dir.path(), ["man"]).ok().out;
    assert!(page.contains(".TH bongsu 1") && page.contains("EXAMPLES"), "{page}");
    run(dir.path(), ["man", "--dir", "pages"]).ok();
    for name in ["bongsu", "bongsu-serve", "bongsu-pub", "bongsu-sub", "bongsu-channels-info", "bongsu-config-show"] {
        let page = std::fs::read_to_string(dir.path().join(format!("pages/{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains("EXAMPLES"), "{name}: {page}");
    }
}
