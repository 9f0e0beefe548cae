//! The table itself. One entry per option and nothing else: this file is read, not run through.

use std::time::Duration;

use super::kind::Kind;
use super::setting::{Setting as _, assign_auto, auto_to_value, words};
use super::{Audience, Opt, Reach, Section};
use crate::config::{Config, Engine, LogFormat, LogLevel, Rule};
use bongsu_core::policy::Durability;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Time(Duration::from_secs(min), Duration::from_secs(max))
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

// What a rule may say takes the same values as what holds for every channel.
const EVENTS: Kind = Kind::Count(1, 1_000_000_000_000);
const HISTORY_BYTES: Kind = Kind::Bytes(KIB, 1024 * TIB);
const AGE: Kind = seconds(1, 36_500 * DAY);
const PAYLOAD: Kind = Kind::Bytes(1, 256 * MIB);
const DURABILITY: Kind = Kind::Choice(&words::<Durability, 3>());

/// An option of `$target` that sets `$field`; `auto` before the field for one that the server finds itself.
macro_rules! opt {
    ($target:ty, $path:literal, $kind:expr, $($field:ident).+, $help:literal, $more:literal) => {
        opt!($target, $path, $kind, $help, $more,
            get: |target: &$target| target.$($field).+.to_value(),
            set: |target: &mut $target, value| target.$($field).+.assign(value))
    };
    ($target:ty, $path:literal, $kind:expr, auto $($field:ident).+, $help:literal, $more:literal) => {
        opt!($target, $path, $kind, $help, $more,
            get: |target: &$target| auto_to_value(&target.$($field).+),
            set: |target: &mut $target, value| assign_auto(&mut target.$($field).+, value))
    };
    ($target:ty, $path:literal, $kind:expr, $help:literal, $more:literal, get: $get:expr, set: $set:expr) => {
        Opt {
            path: $path,
            kind: $kind,
            help: $help,
            more: $more,
            since: "0.1",
            reach: Reach::Everywhere,
            audience: Audience::Operators,
            get: $get,
            set: $set,
        }
    };
}

/// The sections of the file, in its order.
pub const SECTIONS: &[Section] = &[
    Section { name: "", heading: "Server", about: "Where the server listens, what it runs on and how it stops." },
    Section { name: "storage", heading: "Storage", about: "What is kept, and when it counts as safe." },
    Section { name: "limits", heading: "Limits", about: "Bounds on what clients may ask for." },
];

/// Every option of the server, in the order of the help and the pages.
pub const OPTIONS: &[Opt<Config>] = &[
    opt!(Config, "listen", Kind::Address, listen, "Listen on this address and port",
        "Port 0 takes any free port; see --port-file. An address that other machines reach is refused while nobody has \
         to show a key, unless `insecure` is set.").common(),
    opt!(Config, "data_dir", Kind::Path, data_dir, "Keep the log in this directory",
        "Made if it does not exist. A relative path counts from the directory the server is started in. Only one server \
         at a time can use it. Not used by the memory engine.").common(),
    opt!(Config, "engine", Kind::Choice(&words::<Engine, 2>()), engine, "Keep events on disk (embedded) or in memory",
        "With `memory` nothing survives a restart: readers are told by a gap.").common(),
    opt!(Config, "port_file", Kind::Path, port_file, "Write the address listened on to this file when ready",
        "One line, `ip:port`, written in one step once requests are taken. For scripts that start the server on port 0.")
        .flag_only(),
    opt!(Config, "insecure", Kind::Flag, insecure, "Allow an address that other machines reach without keys",
        "Then everybody who reaches the address can read and publish everything. For closed networks only."),
    opt!(Config, "cors", Kind::Cors, cors, "Which web origins may read across sites",
        "`any` allows every origin, without credentials; `none` only pages of the server's own origin; or a list of \
         origins as the browser sends them. `auto` is `any` as long as nobody has to show a key, else `none`."),
    opt!(Config, "log_level", Kind::Choice(&words::<LogLevel, 6>()), log_level, "Log messages of at least this severity",
        "Messages go to standard error.").common(),
    opt!(Config, "log_format", Kind::Choice(&words::<LogFormat, 2>()), log_format, "How log lines look",
        "`human` is one readable line per message, `json` one JSON object per line, for collectors."),
    opt!(Config, "drain_timeout", seconds(0, HOUR), limits.drain_timeout, "How long a shutdown waits for clients",
        "On SIGTERM or Ctrl-C every reader is told to come back, then what is left after this time is cut. A second \
         signal stops at once."),
    opt!(Config, "reconnect_window", seconds(0, 10 * MINUTE), limits.reconnect_window,
        "Spread reconnects after a restart over this time",
        "Each client draws its own moment in the window. With very many clients a longer window keeps the start calm."),
    opt!(Config, "shards", Kind::AutoCount(0, 64), auto shards, "How many threads serve sockets",
        "They serve reads and publishes over plain HTTP/1.1 and WebSockets, and pass everything else on. `auto`: one for \
         each processor that the process may use, at most 16. With 0 there are none, and everything is served as the \
         rest is."),
    opt!(Config, "test_endpoints", Kind::Flag, test_endpoints, "Serve /test/…, for conformance suites",
        "Refused on an address that other machines reach.").for_tests(),

    opt!(Config, "storage.durability", DURABILITY, storage.durability, "When a publish is acknowledged",
        "`fsync`: the disk has it, a power cut loses nothing. `os`: the operating system has it, a crash of the server \
         loses nothing, a power cut may. `memory`: a crash may lose it. After an unclean stop below `fsync` readers may \
         be told of a gap."),
    opt!(Config, "storage.history_events", EVENTS, storage.retention.events_max, "Keep at most this many events per channel",
        "Of events, bytes and age, whichever bound is reached first drops the oldest events."),
    opt!(Config, "storage.history_bytes", HISTORY_BYTES, storage.retention.bytes_max,
        "Keep at most this many bytes per channel", "Counted in bytes of payload."),
    opt!(Config, "storage.history_age", AGE, storage.retention.age_max, "Keep events at most this long",
        "A client that was away longer is told of a gap when it comes back."),
    opt!(Config, "storage.log_bytes_max", Kind::Bytes(MIB, 1024 * TIB), storage.log.total_bytes_max,
        "Keep at most this many bytes in all channels together", "Beyond it the oldest events of all channels go first."),
    opt!(Config, "storage.disk_free_min", Kind::Bytes(0, TIB), storage.log.disk_free_min,
        "Refuse publishes when the disk has less than this free",
        "Publishes are answered 507 until there is room again; reading goes on, nothing is damaged."),
    opt!(Config, "storage.idempotency_window", seconds(1, 7 * DAY), storage.log.idempotency_window,
        "Remember an Idempotency-Key this long", "Within it a repeated publish is answered as the first, also after a restart."),
    opt!(Config, "storage.idempotency_keys_max", Kind::Count(1, 1_000_000_000), storage.log.idempotency_keys_max,
        "Remember at most this many Idempotency-Keys",
        "Each takes about 80 bytes of memory. When full, publishes with a new key are answered 503."),
    opt!(Config, "storage.channels_max", Kind::Count(1, 1_000_000_000), storage.log.channels_max,
        "Keep at most this many channels", "A channel that ever was keeps its place. A publish to one more channel is answered 503."),

    opt!(Config, "limits.payload_bytes_max", PAYLOAD, limits.payload_bytes_max, "The largest payload of an event",
        "Counted before encoding. A rule may lower it for some channels."),
    opt!(Config, "limits.body_bytes_max", Kind::Bytes(KIB, 4 * GIB), limits.body_bytes_max,
        "The largest request body", "An array of events is one body; NDJSON is not bounded by it, its lines are."),
    opt!(Config, "limits.head_bytes_max", Kind::Bytes(4 * KIB, MIB), limits.head_bytes_max, "The largest request head", ""),
    opt!(Config, "limits.channels_per_connection_max", Kind::Count(1, 10_000), limits.channels_per_connection_max,
        "The most channels one reader may ask for", ""),
    opt!(Config, "limits.connections_max", Kind::Count(1, 10_000_000), limits.connections_max,
        "The most connections at a time", "Waiting long polls count. The operating system's limit on open files \
         (`ulimit -n`) has to be higher."),
    opt!(Config, "limits.sockets_max", Kind::AutoCount(1, 20_000_000), auto limits.sockets_max,
        "The most sockets at a time",
        "Those included that have asked nothing yet. `auto`: a tenth more than `connections_max`. Beyond it who comes waits \
         in the backlog of the operating system."),
    opt!(Config, "limits.handshakes_per_second", Kind::Count(1, 1_000_000), limits.handshakes_per_second,
        "How many new readers are let in a second",
        "The first read of each connection counts. Beyond it a client is told when to come back, and is let in then."),
    opt!(Config, "limits.handshakes_burst", Kind::Count(1, 10_000_000), limits.handshakes_burst,
        "How many new readers are let in at once after a quiet time", ""),
    opt!(Config, "limits.publishes_in_flight_max", Kind::Count(1, 10_000_000), limits.publishes_in_flight_max,
        "The most events waiting for the log", "Beyond it a publish is answered 503 with a time to come back."),
    opt!(Config, "limits.publish_bytes_in_flight_max", Kind::Bytes(MIB, TIB), limits.publish_bytes_in_flight_max,
        "The most bytes of events waiting for the log", "Counted in bytes of payload; no less than `body_bytes_max`."),
    opt!(Config, "limits.ring_bytes_max", Kind::Bytes(MIB, TIB), limits.ring_bytes_max,
        "Memory for recent events, so that readers need no disk",
        "Readers further behind than this are served from the log."),
    opt!(Config, "limits.commands_in_flight_max", Kind::Count(1, 10_000), limits.commands_in_flight_max,
        "The most unanswered commands of one connection", ""),
    opt!(Config, "limits.head_timeout", seconds(1, 5 * MINUTE), limits.head_timeout,
        "How long a request head may take to arrive", ""),
    opt!(Config, "limits.write_timeout", seconds(1, HOUR), limits.write_timeout,
        "How long a write to a client that does not read may take", "Then the connection is closed; the client comes \
         back with its cursor and loses nothing that is still kept."),
];

/// Every option of a rule. `channels` is needed; what else is left out holds as for every channel.
pub const RULE_OPTIONS: &[Opt<Rule>] = &[
    opt!(
        Rule,
        "channels",
        Kind::Pattern,
        channels,
        "The channels the rule is about",
        "`*` stands for one segment, a last `**` for any rest: `shop:*:orders`, `state:**`."
    ),
    opt!(Rule, "history_events", EVENTS, history_events, "Keep at most this many events per channel", ""),
    opt!(Rule, "history_bytes", HISTORY_BYTES, history_bytes, "Keep at most this many bytes per channel", ""),
    opt!(Rule, "history_age", AGE, history_age, "Keep events at most this long", ""),
    opt!(Rule, "durability", DURABILITY, durability, "When a publish is acknowledged", ""),
    opt!(
        Rule,
        "payload_bytes_max",
        PAYLOAD,
        payload_bytes_max,
        "The largest payload of an event",
        "At most what `limits.payload_bytes_max` allows."
    ),
];
