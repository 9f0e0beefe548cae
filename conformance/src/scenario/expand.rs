//! From one scenario to its trials: a run for each case, way or pair of ways, and carrier.

use super::{Scenario, Trial};
use crate::server::Setup;
use crate::way::{Driver, Http, Way};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What carries a trial's requests: the version of HTTP, and who serves it.
#[derive(Clone, Copy)]
struct Carrier {
    http: Http,
    driver: Driver,
}

impl Carrier {
    fn name(self) -> String {
        match self.http {
            Http::H1 => format!("h1-{}", self.driver),
            Http::H2 => "h2".to_owned(),
        }
    }
}

/// HTTP/2 is always hyper's, by way of a shard.
fn carriers(scenario: &Scenario) -> Vec<Carrier> {
    let of = |http: &Http| match http {
        Http::H1 => Driver::ALL.map(|driver| Carrier { http: Http::H1, driver }).to_vec(),
        Http::H2 => vec![Carrier { http: Http::H2, driver: Driver::Shards }],
    };
    scenario.http.iter().flat_map(of).collect()
}

/// All trials of a scenario.
pub(super) fn expand(theme: &str, scenario: Scenario, setup: &Setup, trials: &mut Vec<Trial>) {
    let scenario = Arc::new(scenario);
    let cases = match scenario.cases.as_slice() {
        [] => vec![Map::new()],
        cases => cases.to_vec(),
    };
    for case in cases {
        for (way, other) in ways(&scenario) {
            let on_websocket = [way, other].contains(&Some(Way::Websocket));
            for carrier in carriers(&scenario) {
                if carrier.http == Http::H2 && on_websocket {
                    continue;
                }
                trials.push(Trial {
                    name: trial_name(theme, &scenario.name, &case, (way, other), carrier),
                    scenario: Arc::clone(&scenario),
                    setup: Setup { driver: carrier.driver, ..setup.clone() },
                    way,
                    other,
                    http: carrier.http,
                    case: case.clone(),
                });
            }
        }
    }
}

fn ways(scenario: &Scenario) -> Vec<(Option<Way>, Option<Way>)> {
    let all = &scenario.ways;
    match (all.as_slice(), scenario.pairs) {
        ([], _) => vec![(None, None)],
        (_, false) => all.iter().map(|w| (Some(*w), None)).collect(),
        (_, true) => all.iter().flat_map(|a| all.iter().map(|b| (Some(*a), Some(*b)))).collect(),
    }
}

fn trial_name(
    theme: &str,
    scenario: &str,
    case: &Map<String, Value>,
    (way, other): (Option<Way>, Option<Way>),
    carrier: Carrier,
) -> String {
    let mut parts = vec![theme.to_owned(), scenario.replace(' ', "_")];
    if let Some(Value::String(name)) = case.get("name") {
        parts.push(name.replace(' ', "_"));
    }
    parts.extend(way.map(|w| match other {
        Some(other) => format!("{w}_to_{other}"),
        None => w.to_string(),
    }));
    parts.push(carrier.name());
    parts.join("::")
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn names(text: &str) -> Vec<String> {
        let trials = parse("t", text).unwrap();
        trials.into_iter().map(|t| t.name).collect()
    }

    #[test]
    fn a_scenario_becomes_a_trial_per_way_and_version() {
        let text = r#"
            [[scenario]]
            name = "a b"
            promise = "§2: words"
            http = ["h1", "h2"]
            ways = ["sse", "websocket"]
            steps = [{ sleep = 1 }]
        "#;
        assert_eq!(
            names(text),
            [
                "t::a_b::sse::h1-shards",
                "t::a_b::sse::h1-hyper",
                "t::a_b::sse::h2",
                "t::a_b::websocket::h1-shards",
                "t::a_b::websocket::h1-hyper",
            ]
        );
    }

    #[test]
    fn all_five_ways_make_25_pairs() {
        let text = "[[scenario]]\nname='p'\npromise='§2: w'\npairs=true\nsteps=[]";
        let names = names(text);
        assert_eq!(names.len(), 2 * 25);
        assert_eq!(names[2], "t::p::poll_to_longpoll::h1-shards");
    }

    #[test]
    fn cases_have_names_of_their_own() {
        let text = r#"
            [[scenario]]
            name = "s"
            promise = "§2: w"
            ways = []
            cases = [{ name = "x y", n = 1 }, { name = "z", n = 2 }]
            steps = []
        "#;
        assert_eq!(
            names(text),
            ["t::s::x_y::h1-shards", "t::s::x_y::h1-hyper", "t::s::z::h1-shards", "t::s::z::h1-hyper",]
        );
    }
}
