//! The nearest name to one that does not exist, for the errors that say so.

/// The name in `known` that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Comparing takes time in proportion to the length; nobody mistypes a name of this length.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let likeness = |known: &&str| strsim::jaro_winkler(&name, known);
    let best = known.iter().map(|known| (likeness(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.7).then_some(best.1)
}

/// A sentence about the name that does not exist: `there is no parameter "chanel"; did you mean "channel"?`.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let name: String = name.chars().take(64).collect();
    match nearest(&name, known) {
        Some(near) => format!("there is no {what} `{name}`; did you mean `{near}`?"),
        None => format!("there is no {what} `{name}`"),
    }
}

/// All of them in a sentence.
pub(crate) fn all(what: &str, known: &[&str]) -> String {
    format!("{what}: `{}`", known.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["since", "last", "limit", "type", "heartbeat", "wait", "format", "transport", "channel"];
        let cases = [
            ("chanel", Some("channel")),
            ("channels", Some("channel")),
            ("SINCE", Some("since")),
            ("from", Some("format")),
            ("heart_beat", Some("heartbeat")),
            ("types", Some("type")),
            ("zzz", None),
            ("", None),
        ];
        for (name, near) in cases {
            assert_eq!(nearest(name, &known), near, "{name:?}");
        }
    }
}
