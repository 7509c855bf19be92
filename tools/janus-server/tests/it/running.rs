//! Starting: what a server refuses to start with.

use std::net::SocketAddr;

use janus_server::{Error, Server, Settings};

use crate::client::{settings, shared};

/// G14.
#[test]
fn other_machines_need_a_key() {
    let open = Settings {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..settings()
    };
    assert!(matches!(
        Server::bind(open.clone()),
        Err(Error::NoKey { .. })
    ));
    let with_key = Settings {
        api_key: Some("secret".to_owned()),
        ..open.clone()
    };
    let insecure = Settings {
        insecure: true,
        ..open
    };
    assert!(Server::bind(with_key).is_ok() && Server::bind(insecure).is_ok());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = Settings {
        listen: shared(),
        ..settings()
    };
    let error = Server::bind(taken).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", shared()));
}

#[test]
fn settings_out_of_range_are_named() {
    for (change, name) in [
        ((|s| s.max_rows = 0) as fn(&mut Settings), "max_rows"),
        (|s| s.max_requests = 0, "max_requests"),
        (|s| s.header_seconds = 0, "header_seconds"),
        (|s| s.api_key = Some(String::new()), "api_key"),
    ] {
        let mut settings = settings();
        change(&mut settings);
        let error = Server::bind(settings).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}
