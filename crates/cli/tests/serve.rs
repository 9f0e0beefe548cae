//! Starting, stopping and looking into a server's directory by the real command.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use support::{Server, run};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_server_greets_with_commands_that_work() {
    let dir = dir();
    let server = Server::start(dir.path());
    let greeting: String = (0..5).map(|_| server.running.line()).collect();
    let url = &server.url;
    assert!(
        greeting.contains(&format!("curl -N -H 'Accept: text/event-stream' {url}/v1/channels/hello")),
        "{greeting}"
    );
    // The publish line is pasted as it stands, by a shell.
    let publish = greeting.lines().find(|line| line.contains("curl -d")).unwrap();
    let answer = std::process::Command::new("sh").args(["-c", publish]).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.contains("\"offset\":1"), "{answer}");
    let ran = server.run(dir.path(), &["sub", "hello", "--last", "1", "--count", "1"]).ok();
    assert!(ran.out.contains("first light"), "{ran:?}");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn the_port_file_names_the_address() {
    let dir = dir();
    let server = Server::start_with(dir.path(), &["--listen", "127.0.0.1:0", "--port-file", "port"]);
    let port = std::fs::read_to_string(dir.path().join("port")).unwrap();
    assert_eq!(port, format!("{}\n", server.address()));
}

#[test]
fn options_reach_the_server() {
    let dir = dir();
    std::fs::write(dir.path().join("bongsu.toml"), "[[rules]]\nchannels = \"small:*\"\npayload_bytes_max = 4\n")
        .unwrap();
    let server =
        Server::start_with(dir.path(), &["--listen", "127.0.0.1:0", "--payload-bytes-max", "8", "--log-level", "off"]);
    server.run(dir.path(), &["pub", "a", "12345678"]).ok();
    server.run(dir.path(), &["pub", "a", "123456789"]).fails(1, &["payload_too_large"]);
    server.run(dir.path(), &["pub", "small:1", "12345"]).fails(1, &["payload_too_large"]);
    assert_eq!(server.stop().ok().err, "", "`--log-level off` says nothing");
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_nobody_takes_stops_nothing() {
    let dir = dir();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let port = dir.path().join("port");
    let mut server = support::bongsu(dir.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--port-file", "port"])
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    while !port.exists() && server.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let url = format!("http://{}", std::fs::read_to_string(&port).unwrap_or_default().trim());
    let published = run(dir.path(), ["pub", "--url", &url, "a", "1"]);
    std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    published.ok();
}

#[test]
fn log_lines_are_json_for_collectors() {
    let dir = dir();
    let server = Server::start_with(dir.path(), &["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let ran = server.stop().ok();
    assert!(ran.err.lines().count() > 0);
    for line in ran.err.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn what_stops_a_start_is_told() {
    let dir = dir();
    let server = Server::start(dir.path());
    let taken = server.address();
    run(dir.path(), ["serve", "--listen", taken, "--engine", "memory"]).fails(1, &[taken, "taken", "--listen"]);
    run(dir.path(), ["serve", "--listen", "127.0.0.1:0"]).fails(1, &["bongsu-data"]);
    run(dir.path(), ["inspect", "bongsu-data"]).fails(1, &["bongsu-data"]);
    std::fs::write(dir.path().join("file"), "").unwrap();
    run(dir.path(), ["serve", "--listen", "127.0.0.1:0", "--data-dir", "file"]).fails(1, &["file"]);
}

#[test]
fn a_stopped_log_can_be_looked_into() {
    let dir = dir();
    let server = Server::start(dir.path());
    for (channel, data) in [("b", "1"), ("a", "22"), ("a", "333")] {
        server.run(dir.path(), &["pub", channel, data]).ok();
    }
    server.stop().ok();
    let ran = run(dir.path(), ["inspect", "bongsu-data", "--verify"]).ok();
    let lines: Vec<String> =
        ran.lines().iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines[1].starts_with("2 5 B #2 ") && lines[1].ends_with(" a"), "{ran:?}");
    assert!(lines[2].starts_with("1 1 B #1 ") && lines[2].ends_with(" b"), "{ran:?}");
    assert!(ran.out.contains("closed properly") && ran.out.contains("3 events in 2 channels, 6 B"), "{ran:?}");
    assert!(ran.out.contains("3 events are well, nothing is damaged"), "{ran:?}");
    let object = run(dir.path(), ["inspect", "bongsu-data", "--json", "--verify"]).ok().out;
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!((&object["events"], &object["verified"]["damaged"]), (&3.into(), &0.into()), "{object}");
    run(dir.path(), ["inspect", "nowhere"]).fails(1, &["nowhere"]);
}
