//! The configuration of a server: plain values, parsed and checked.
//!
//! A [`Config`] says what holds; where each value was said (flag, environment, file, default) is [`load`]'s
//! business, and how a value is written is the option table's ([`crate::options`]). It knows no TOML and no command line,
//! and nothing here opens a file or a socket.

mod check;
pub mod complaint;
mod file;
#[cfg(test)]
mod golden_test;
pub mod load;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bongsu_core::ChannelPattern;
use bongsu_core::limits::Limits;
use bongsu_core::policy::{Durability, Policy, Retention, Rules};
use bongsu_log::LogConfig;

/// Everything a server needs to know before it starts. [`Config::default`] is the quick start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory of the embedded log; made if it does not exist.
    pub data_dir: PathBuf,
    /// Which log keeps the events.
    pub engine: Engine,
    /// A file that gets `ip:port` and a line end, in one step, once the server takes requests.
    pub port_file: Option<PathBuf>,
    /// Whether an address that other machines reach is allowed although nobody has to show a key.
    pub insecure: bool,
    /// Whether `/test/…` exists. Only on a loopback address.
    pub test_endpoints: bool,
    /// Which origins may read across sites.
    pub cors: Cors,
    /// The least severe messages that are logged.
    pub log_level: LogLevel,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How many threads serve plain sockets; 0 leaves all to the general driver. `None`: as many as there are processors.
    pub shards: Option<usize>,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
    /// Bounds on what the log keeps.
    pub storage: Storage,
    /// What holds for some channels; the first that matches wins. See [`Config::rules`].
    pub rules: Vec<Rule>,
}

/// Which log keeps the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// On disk, in `data_dir`.
    Embedded,
    /// In memory; a restart begins an empty log.
    Memory,
}

/// The least severe messages that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the logging crate")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per message.
    Human,
    /// One JSON object per line.
    Json,
}

/// Which web origins may read across sites. Credentials are never allowed across sites by this option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Any origin as long as clients need no key or token, else none.
    Auto,
    /// Any origin.
    Any,
    /// None: pages of the server's own origin only.
    None,
    /// These, each as the browser sends it: `https://app.example.com`. At least one.
    Only(Vec<String>),
}

/// What the log keeps for channels that no rule names, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// When a publish is acknowledged.
    pub durability: Durability,
    /// How much of each channel is kept.
    pub retention: Retention,
    /// Bounds of the log as a whole.
    pub log: LogConfig,
}

/// What is said for the channels of a pattern; what is not said holds as for every channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which channels.
    pub channels: ChannelPattern,
    /// The most events kept per channel.
    pub history_events: Option<u64>,
    /// The most bytes kept per channel.
    pub history_bytes: Option<u64>,
    /// The greatest age of what is kept.
    pub history_age: Option<Duration>,
    /// When a publish is acknowledged.
    pub durability: Option<Durability>,
    /// The largest payload, in bytes.
    pub payload_bytes_max: Option<u64>,
}

impl Config {
    /// The bounds on what clients may ask for.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.clone()
    }

    /// The rules with what they leave unsaid filled in, and what holds for every other channel.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let fallback = Policy {
            retention: self.storage.retention,
            durability: self.storage.durability,
            payload_bytes_max: self.limits.payload_bytes_max,
        };
        let rules = self.rules.iter().map(|rule| (rule.channels.clone(), rule.over(&fallback))).collect();
        Rules::new(rules, fallback)
    }

    /// Whether only this machine reaches the address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            data_dir: "./bongsu-data".into(),
            engine: Engine::Embedded,
            port_file: None,
            insecure: false,
            test_endpoints: false,
            cors: Cors::Auto,
            log_level: LogLevel::Info,
            log_format: LogFormat::Human,
            shards: None,
            limits: Limits::default(),
            storage: Storage::default(),
            rules: Vec::new(),
        }
    }
}

impl Rule {
    /// A rule that says nothing yet.
    #[must_use]
    pub fn new(channels: ChannelPattern) -> Self {
        Self {
            channels,
            history_events: None,
            history_bytes: None,
            history_age: None,
            durability: None,
            payload_bytes_max: None,
        }
    }

    /// What holds for the rule's channels: what it says, and `fallback` for the rest.
    fn over(&self, fallback: &Policy) -> Policy {
        let Retention { events_max, bytes_max, age_max } = fallback.retention;
        Policy {
            retention: Retention {
                events_max: self.history_events.unwrap_or(events_max),
                bytes_max: self.history_bytes.unwrap_or(bytes_max),
                age_max: self.history_age.unwrap_or(age_max),
            },
            durability: self.durability.unwrap_or(fallback.durability),
            payload_bytes_max: self.payload_bytes_max.map_or(fallback.payload_bytes_max, bytes_in_memory),
        }
    }
}

/// A number of bytes that fit into memory; a number that is too large for this machine is as good as no bound.
pub(crate) fn bytes_in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Cors {
    /// What `words` say: one of `auto`, `any` (or `*`), `none`, or a list of origins.
    pub(crate) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let words: Vec<&str> = words.collect();
        match words[..] {
            ["auto"] => Some(Self::Auto),
            ["any" | "*"] => Some(Self::Any),
            [] | ["none"] => Some(Self::None),
            _ => words
                .iter()
                .all(|word| is_origin(word))
                .then(|| Self::Only(words.into_iter().map(Into::into).collect())),
        }
    }
}

/// Whether `text` is an origin as browsers send it: scheme, host and perhaps a port, nothing after.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-+:[]_".contains(c);
    !scheme.is_empty() && !host.is_empty() && scheme.chars().all(plain) && host.chars().all(plain)
}

impl fmt::Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
            Self::Only(origins) => f.write_str(&origins.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use bongsu_core::ChannelName;

    use super::*;

    #[test]
    fn a_rule_says_only_what_it_says() {
        let mut config = Config::default();
        config.limits.payload_bytes_max = 500;
        config.storage.retention.events_max = 7;
        let rule = Rule::new(ChannelPattern::new("a:*").unwrap());
        config.rules =
            vec![Rule { history_age: Some(Duration::from_secs(1)), durability: Some(Durability::Os), ..rule }];
        let rules = config.rules();
        let policy = |name| *rules.policy(&ChannelName::new(name).unwrap());
        let (ruled, other) = (policy("a:1"), policy("b"));
        assert_eq!((ruled.durability, ruled.retention.age_max), (Durability::Os, Duration::from_secs(1)));
        assert_eq!((ruled.payload_bytes_max, ruled.retention.events_max), (500, 7));
        assert_eq!((other.durability, other.payload_bytes_max), (Durability::Fsync, 500));
        assert_eq!(other.retention, config.storage.retention);
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        let cases = [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.2:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ];
        for (listen, expected) in cases {
            let config = Config { listen: listen.parse().unwrap(), ..Config::default() };
            assert_eq!(config.is_loopback(), expected, "{listen}");
        }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        let cases = [
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("capacitor://localhost", true),
            ("https://App.example.com", false),
            ("https://app.example.com/", false),
            ("https://*.example.com", false),
            ("app.example.com", false),
            ("://x", false),
            ("https://", false),
            ("null", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_origin(text), expected, "{text}");
        }
    }
}
