//! `bongsu inspect`: look at a log on disk without a server.

use std::io::Write;
use std::path::Path;

use bongsu_core::log::ChannelState;
use bongsu_log::inspect::{Damage, Inspection, Report, Summary};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::text;
use crate::failure::Failure;
use crate::output::{DIM, KIND, NAME, WARN, about, grouped, harmless, stdout, styled, utc};

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu inspect ./bongsu-data                  channels and sizes
  bongsu inspect ./bongsu-data --verify         read every event and check it
  bongsu inspect ./bongsu-data --json | jq .bytes

The server that uses the directory has to be stopped. No event is changed; an end that a crash left torn is mended as the \
server would do at its start. Exit code 1 when --verify finds damage.";

/// What the command takes.
pub(super) fn command() -> Command {
    Command::new("inspect").about("Look at a log on disk, without a server").after_help(EXAMPLES).args([
        Arg::new("dir").value_name("DATA_DIR").required(true).help("The data directory"),
        Arg::new("verify").long("verify").action(ArgAction::SetTrue).help("Read every event and check it"),
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"),
    ])
}

/// Looks.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let inspection = Inspection::open(Path::new(text(matches, "dir"))).map_err(Failure::failed)?;
    let summary = inspection.summary().map_err(Failure::failed)?;
    let report = matches.get_flag("verify").then(|| verify(&inspection));
    let mut out = stdout();
    if matches.get_flag("json") {
        writeln!(out, "{}", as_json(&inspection, &summary, report.as_ref()))?;
    } else {
        channels(&mut out, &inspection)?;
        figures(&mut out, &summary)?;
        report.iter().try_for_each(|report| findings(&mut out, report))?;
    }
    out.flush()?;
    if report.is_some_and(|report| report.damaged > 0) { Err(Failure::told()) } else { Ok(()) }
}

fn verify(inspection: &Inspection) -> Report {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} events, {per_sec}, {eta} left");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    let report = inspection.verify(|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    report
}

/// A line per channel that has events, by name.
fn channels(out: &mut impl Write, inspection: &Inspection) -> std::io::Result<()> {
    let mut channels: Vec<_> = inspection.channels().collect();
    channels.sort_by_key(|(name, _)| *name);
    writeln!(
        out,
        "{}",
        styled(DIM, format_args!("{:>12} {:>11} {:>12}  {:24}  channel", "events", "bytes", "newest", "oldest"))
    )?;
    for (name, state) in channels {
        let ChannelState { events, bytes, head_offset, oldest_time, .. } = state;
        let oldest = oldest_time.map_or("-".into(), |time| utc(time.0));
        let newest = format!("#{head_offset}");
        let name = styled(NAME, harmless(name.as_str()));
        writeln!(out, "{:>12} {:>11} {newest:>12}  {oldest:24}  {name}", grouped(*events), about(*bytes))?;
    }
    Ok(())
}

fn figures(out: &mut impl Write, summary: &Summary) -> std::io::Result<()> {
    let Summary { epoch, clean, channels, events, bytes, idempotency_keys, disk_bytes, torn, .. } = summary;
    let closed =
        if *clean { "closed properly" } else { "not closed properly: the next start looks for what is missing" };
    writeln!(out, "\nepoch      {epoch}, {closed}")?;
    writeln!(out, "kept       {} events in {} channels, {}", grouped(*events), grouped(*channels), about(*bytes))?;
    writeln!(out, "numbered   up to {}", summary.newest.0)?;
    writeln!(out, "keys       {} for idempotency", grouped(*idempotency_keys))?;
    writeln!(out, "on disk    {}", about(*disk_bytes))?;
    if let Some(synced) = summary.synced.filter(|synced| *synced > summary.newest) {
        let lost = format!("lost       events up to {} were synced once and are gone", synced.0);
        writeln!(out, "{}", styled(WARN, lost))?;
    }
    if let Some(torn) = torn {
        let kept = match &torn.kept {
            Some(kept) => format!("kept in {}", kept.display()),
            None => "nothing of it was acknowledged".to_owned(),
        };
        let mended = format!("mended     a torn end: {} cut off, {kept}", about(torn.bytes));
        writeln!(out, "{}", styled(WARN, mended))?;
    }
    Ok(())
}

fn findings(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    for Damage { channel, seq, what } in &report.damage {
        let seq = seq.map_or(String::new(), |seq| format!(" event {}", seq.0));
        let line = format!("damage     {}{seq} {what}", harmless(channel.as_str()));
        writeln!(out, "{}", styled(WARN, line))?;
    }
    let good = styled(KIND, format_args!("{} events are well", grouped(report.events)));
    match report.damaged {
        0 => writeln!(out, "verified   {good}, nothing is damaged"),
        damaged => writeln!(out, "verified   {good}, {} pieces of damage", grouped(damaged)),
    }
}

fn as_json(inspection: &Inspection, summary: &Summary, report: Option<&Report>) -> Value {
    let channels: Vec<Value> = inspection
        .channels()
        .map(|(name, state)| {
            json!({
                "channel": name.as_str(), "events": state.events, "bytes": state.bytes, "head": state.head_offset,
                "oldest": state.oldest_offset(), "oldest_time": state.oldest_time.map(|time| time.0),
            })
        })
        .collect();
    let verified = report.map(|report| {
        let damage = |damage: &Damage| {
            json!({"channel": damage.channel.as_str(), "seq": damage.seq.map(|seq| seq.0), "what": damage.what})
        };
        let damage: Vec<Value> = report.damage.iter().map(damage).collect();
        json!({"events": report.events, "damaged": report.damaged, "damage": damage})
    });
    json!({
        "epoch": summary.epoch.to_string(), "clean": summary.clean, "newest_seq": summary.newest.0,
        "events": summary.events, "bytes": summary.bytes, "disk_bytes": summary.disk_bytes,
        "idempotency_keys": summary.idempotency_keys, "torn_bytes": summary.torn.as_ref().map_or(0, |torn| torn.bytes),
        "channels": channels, "verified": verified,
    })
}
