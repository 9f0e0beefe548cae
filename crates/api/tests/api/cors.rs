//! What a browser is told about pages of other origins.

use bongsu_api::Cors;

use crate::support::{Answer, Server, Setup};

const PAGE: (&str, &str) = ("origin", "https://page.example");

fn only(origin: &str) -> Setup {
    Setup { cors: Cors::Only(vec![origin.to_owned()]), ..Setup::default() }
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn in_open_mode_every_page_sees_every_answer() {
    let server = Server::start().await;
    let cases = [
        ("GET", "/v1/channels/a", 200),
        ("POST", "/v1/channels/a", 200),
        ("GET", "/v1/channels/%ff", 400),
        ("GET", "/v1/channels?x=1", 400),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/channels/a", 405),
        ("GET", "/readyz", 200),
    ];
    for (method, target, status) in cases {
        let answer = server.send(method, target, &[PAGE], b"").await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (status, Some("*")), "{method} {target}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("ETag") && exposed.contains("Retry-After"), "{exposed}");
    }
}

#[tokio::test]
async fn preflights_are_answered() {
    let server = Server::start().await;
    let ask = [PAGE, ("access-control-request-method", "POST"), ("access-control-request-headers", "idempotency-key")];
    let answer = server.send("OPTIONS", "/v1/channels/a", &ask, b"").await;
    assert_eq!((answer.status.as_u16(), answer.body.len(), allowed(&answer)), (204, 0, Some("*")));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST, DELETE, OPTIONS"));
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    let headers = answer.header("access-control-allow-headers").unwrap().to_lowercase();
    let headers: Vec<_> = headers.split(", ").collect();
    for needed in ["authorization", "content-type", "idempotency-key", "if-none-match", "last-event-id", "prefer"] {
        assert!(headers.contains(&needed), "{needed} in {headers:?}");
    }

    let unknown = server.send("OPTIONS", "/nowhere", &ask, b"").await;
    assert_eq!(unknown.status, 204, "so that the page gets to see the problem of the request itself");
    let plain = server.send("OPTIONS", "/v1/channels/a", &[], b"").await;
    assert_eq!((plain.status.as_u16(), plain.header("access-control-allow-methods")), (204, None));
    assert_eq!(server.send("OPTIONS", "/nowhere", &[], b"").await.code(), "not_found");
}

#[tokio::test]
async fn in_configured_mode_only_known_pages_see_answers() {
    let ask = [PAGE, ("access-control-request-method", "POST")];
    let none = Setup { cors: Cors::None, ..Setup::default() };
    let cases = [(only("https://page.example"), Some(PAGE.1)), (only("https://other.example"), None), (none, None)];
    for (setup, expected) in cases {
        let cors = setup.cors.clone();
        let server = Server::start_with(setup).await;
        for target in ["/v1/channels/a", "/v1/channels", "/nowhere"] {
            let answer = server.send("GET", target, &[PAGE], b"").await;
            assert_eq!(allowed(&answer), expected, "{target} {cors:?}");
            let vary = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_lowercase());
            let origins = vary.collect::<Vec<_>>().join(",").matches("origin").count();
            assert!(origins == 1 || (origins == 0 && cors == Cors::None), "{target} {cors:?}");
        }
        let preflight = server.send("OPTIONS", "/v1/channels/a", &ask, b"").await;
        assert_eq!(preflight.status, 204);
        assert_eq!(allowed(&preflight), expected);
        assert_eq!(preflight.header("access-control-allow-methods").is_some(), expected.is_some());
    }
}

#[tokio::test]
async fn sockets_of_strange_pages_are_refused() {
    let server = Server::start_with(only("https://page.example")).await;
    let handshake = |origin| {
        [("origin", origin), ("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")]
    };
    let answer = server.send("GET", "/v1/channels/a", &handshake("https://other.example"), b"").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "not_permitted"), "{answer:?}");
    let answer = server.send("GET", "/v1/channels/a", &handshake("https://page.example"), b"").await;
    assert_ne!(answer.status, 403, "only the key is missing: {answer:?}");
}
