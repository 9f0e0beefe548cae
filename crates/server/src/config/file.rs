//! The configuration file: TOML to values with their places.
//!
//! Says every mistake it finds, not only the first. It knows the option table and no defaults; how what is said here
//! meets flags and environment is [`super::load`]'s business.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bongsu_core::ChannelPattern;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::complaint::{Complaint, Mark};
use super::{Config, Rule};
use crate::options::{self, Kind, OPTIONS, Opt, RULE_OPTIONS, Reach, SECTIONS, Value};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Options, each with the place of its value.
    pub(super) options: Vec<(&'static Opt<Config>, Value, Mark)>,
    /// Rules, in their order.
    pub(super) rules: Vec<SaidRule>,
}

/// What a file says for some channels.
#[derive(Debug)]
pub(super) struct SaidRule {
    /// The rule.
    pub(super) rule: Rule,
    /// The place of each of its values, by name.
    pub(super) marks: Vec<(&'static str, Mark)>,
}

impl SaidRule {
    /// Where the value of that name stands.
    pub(super) fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks.iter().find(|(known, _)| *known == name).map(|(_, mark)| mark)
    }
}

/// Reads `text`, the content of the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Said, Vec<Complaint>> {
    let mut reader = Reader { path: path.into(), text, said: Said::default(), complaints: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        reader.complain(span, Complaint::new(format!("this is not valid TOML: {}", error.message())));
    }
    if errors.is_empty() {
        reader.document(document.get_ref());
    } else if let Some(last) = reader.complaints.last_mut() {
        // What a broken file means further down is guesswork: a lost bracket moves all that follows.
        last.help.push("mend the syntax first: the options were not checked".into());
    }
    reader.complaints.sort_by_key(|complaint| complaint.mark.as_ref().map(|mark| (mark.line, mark.column)));
    if reader.complaints.is_empty() { Ok(reader.said) } else { Err(reader.complaints) }
}

struct Reader<'a> {
    path: Arc<Path>,
    text: &'a str,
    said: Said,
    complaints: Vec<Complaint>,
}

impl Reader<'_> {
    fn mark(&self, span: Range<usize>) -> Mark {
        Mark::new(&self.path, self.text, span)
    }

    fn complain(&mut self, span: Range<usize>, complaint: Complaint) {
        let mark = self.mark(span);
        self.complaints.push(complaint.at(mark));
    }

    fn document(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let is_section = SECTIONS.iter().any(|section| !section.name.is_empty() && section.name == name);
            match value.get_ref() {
                DeValue::Array(rules) if name == "rules" => self.rules(rules, value.span()),
                DeValue::Table(_) if name == "rules" => {
                    let complaint = Complaint::new("`rules` is a list of tables");
                    self.complain(key.span(), complaint.help("begin each rule with [[rules]], in double brackets"));
                }
                DeValue::Table(section) if is_section => self.section(name, section),
                _ if is_section || name == "rules" => {
                    let brackets = if is_section { format!("[{name}]") } else { "[[rules]]".into() };
                    let complaint = Complaint::new(format!("`{name}` is no option but a section"));
                    self.complain(key.span(), complaint.help(format!("begin it with {brackets} on a line of its own")));
                }
                _ => self.option("", key.span(), name, value),
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            self.option(section, key.span(), key.get_ref(), value);
        }
    }

    fn option(&mut self, section: &str, key: Range<usize>, name: &str, value: &Spanned<DeValue<'_>>) {
        let known = OPTIONS.iter().find(|option| option.section() == section && option.name() == name);
        match known {
            Some(option) if option.reach == Reach::Flag => {
                let complaint = Complaint::new(format!("`{name}` cannot be set in a file"));
                self.complain(key, complaint.help(format!("it is about one run: use --{}", option.flag())));
            }
            Some(option) => {
                if let Some(said) = self.value(option.path, option.kind, value) {
                    let mark = self.mark(value.span());
                    self.said.options.push((option, said, mark));
                }
            }
            None => self.complain(key, unknown_option(section, name, value.get_ref())),
        }
    }

    /// The value, or a complaint about it.
    fn value(&mut self, name: &str, kind: Kind, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let said = as_text(kind, value.get_ref()).and_then(|text| kind.parse(&text));
        if said.is_none() {
            let culprit = bad_item(kind, value).unwrap_or(value);
            self.complain(culprit.span(), bad_value(&format!("`{name}`"), &shown(culprit.get_ref()), kind));
        }
        said
    }

    fn rules(&mut self, rules: &DeArray<'_>, span: Range<usize>) {
        for rule in rules {
            match rule.get_ref() {
                DeValue::Table(table) => self.rule(table, rule.span()),
                other => {
                    let complaint = Complaint::new(format!("a rule is a table, not {}", other.type_str()));
                    let span = if rule.span().is_empty() { span.clone() } else { rule.span() };
                    self.complain(span, complaint.help("begin each rule with [[rules]] on a line of its own"));
                }
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, span: Range<usize>) {
        let mut values = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match options::find_in_rule(name) {
                Some(option) => {
                    if let Some(said) = self.value(name, option.kind, value) {
                        values.push((option, said, self.mark(value.span())));
                    }
                }
                None => self.complain(key.span(), unknown_in_rule(name)),
            }
        }
        if !table.keys().any(|key| key.get_ref() == "channels") {
            let complaint = Complaint::new("this rule does not say which channels it is about");
            self.complain(span, complaint.help("add a line such as channels = \"shop:*:orders\""));
        }
        if let Some(said) = build_rule(values) {
            self.said.rules.push(said);
        }
    }
}

/// The rule of these values; `None` if it names no channels, which was complained about.
fn build_rule(values: Vec<(&'static Opt<Rule>, Value, Mark)>) -> Option<SaidRule> {
    let channels: ChannelPattern = values.iter().find_map(|(_, value, _)| match value {
        Value::Pattern(pattern) => Some(pattern.clone()),
        _ => None,
    })?;
    let mut rule = Rule::new(channels);
    let mut marks = Vec::new();
    for (option, value, mark) in values {
        option.set(&mut rule, value);
        marks.push((option.name(), mark));
    }
    Some(SaidRule { rule, marks })
}

/// The value as it would be written on a command line; `None` if TOML's type does not fit the kind.
fn as_text(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    let number = matches!(kind, Kind::Count(..) | Kind::AutoCount(..) | Kind::Bytes(..) | Kind::Time(..));
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(digits) if number => {
            u64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Boolean(flag) if kind == Kind::Flag => Some(flag.to_string()),
        DeValue::Array(items) if kind == Kind::Cors => {
            let words: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            words.map(|words| if words.is_empty() { "none".into() } else { words.join(",") })
        }
        _ => None,
    }
}

/// Of a list, the first item that could not stand there even alone.
fn bad_item<'a, 'i>(kind: Kind, value: &'a Spanned<DeValue<'i>>) -> Option<&'a Spanned<DeValue<'i>>> {
    let alone = |item: &DeValue<'_>| item.as_str().is_some_and(|text| kind.parse(text).is_some());
    value.get_ref().as_array()?.iter().find(|item| kind == Kind::Cors && !alone(item.get_ref()))
}

/// The value as a complaint shows it: short values as written, long ones by their type.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 60 => options::kind::quote(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
        DeValue::String(_) => "this text".into(),
    }
}

/// `subject` (an option, a variable or a flag) has a value that is not allowed.
pub(super) fn bad_value(subject: &str, shown: &str, kind: Kind) -> Complaint {
    let complaint = Complaint::new(format!("{subject} cannot be {shown}"));
    let meant = match kind {
        Kind::Choice(words) => options::nearest(shown.trim_matches('"'), words.iter().copied()),
        _ => None,
    };
    complaint.maybe(meant).help(format!("it takes {}", kind.expected()))
}

/// There is no option `name` in `section`: it may stand in another, be an option of rules, or be mistyped.
fn unknown_option(section: &str, name: &str, value: &DeValue<'_>) -> Complaint {
    let place = |section: &str| match section {
        "" => "above the first [section]".to_string(),
        section => format!("under [{section}]"),
    };
    let (what, here) = match (value, section) {
        (DeValue::Table(_), "") => ("section", String::new()),
        (_, "") => ("option", String::new()),
        (_, section) => ("option", format!(" under [{section}]")),
    };
    let complaint = Complaint::new(format!("there is no {what} `{name}`{here}"));
    let files = || OPTIONS.iter().filter(|option| option.reach == Reach::Everywhere);
    if what == "section" {
        let sections = SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty()).chain(["rules"]);
        let all = sections.clone().collect::<Vec<_>>().join(", ");
        return complaint.maybe(options::nearest(name, sections)).help(format!("the sections are {all}"));
    }
    if let Some(moved) = files().find(|option| option.name() == name.replace('-', "_")) {
        return complaint.help(format!("`{}` stands {}", moved.name(), place(moved.section())));
    }
    match options::nearest(name, files().map(Opt::name)).and_then(options::find) {
        Some(meant) if meant.section() == section => complaint.maybe(Some(meant.name())),
        Some(meant) => complaint.help(format!("did you mean `{}` {}?", meant.name(), place(meant.section()))),
        None => complaint.help("`bongsu config default` prints a file with every option"),
    }
}

/// There is no option `name` for rules.
fn unknown_in_rule(name: &str) -> Complaint {
    let complaint = Complaint::new(format!("there is no option `{name}` in a rule"));
    let names = RULE_OPTIONS.iter().map(Opt::name);
    let all = names.clone().collect::<Vec<_>>().join(", ");
    match options::find(name) {
        Some(option) if option.section().is_empty() => {
            complaint.help(format!("`{name}` holds for the whole server: put it above the first [section]"))
        }
        Some(option) => complaint
            .help(format!("`{name}` holds for the whole server: put it under [{}], not in a rule", option.section())),
        None => complaint.maybe(options::nearest(name, names)).help(format!("a rule can say {all}")),
    }
}
