//! Pictures of other servers.
//!
//! A client names an address, and this machine goes there: it could be led to what only this machine
//! reaches. So an address is looked up once, every answer to that has to be one of the public internet,
//! and the connection goes to what was looked up; the same for each redirect.

use std::time::Instant;

use axum::http::Uri;
use axum::http::header;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::addresses::is_public;
use super::too_many_bytes;
use crate::error::ApiError;
use crate::settings::Settings;

/// Redirects at most: from a short address to a long one, and from http to https.
const MAX_REDIRECTS: usize = 3;

/// What fetches pictures.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    agent: Agent,
    /// Hosts that may be asked; none is every public one.
    hosts: Vec<String>,
    /// `HOST:PORT` of those whose addresses need not be public.
    private: Vec<String>,
}

/// What came back: what it says it is, where it says so, and the bytes.
type Fetched = (Option<String>, Vec<u8>);

impl Remote {
    /// What may fetch pictures by the settings, if anything may.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        if !settings.allow_remote_images {
            return None;
        }
        let config = Config::builder()
            // A proxy would look addresses up by itself.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // A connection that is kept would be one to an address of some time ago.
            .max_idle_connections(0)
            .user_agent(concat!("janus/", env!("CARGO_PKG_VERSION")))
            .accept("image/png, image/jpeg, image/webp")
            .build();
        let private = settings.private_image_hosts.clone();
        let guarded = Guarded(private.clone());
        Some(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), guarded),
            hosts: settings.remote_image_hosts.clone(),
            private,
        })
    }

    /// The file at `url`, which the request has at `path`.
    pub(super) fn fetch(
        &self,
        url: &str,
        path: &str,
        max_bytes: u64,
        deadline: Instant,
    ) -> Result<Fetched, ApiError> {
        let refuse = |message: String| ApiError::invalid(path, message);
        let mut uri = parse(url).map_err(refuse)?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&uri).map_err(refuse)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let request = self.agent.get(&uri).config().timeout_global(Some(left));
            let response = request.build().call().map_err(|e| refuse(told(&e)))?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(header::LOCATION);
                let location = location.and_then(|location| location.to_str().ok());
                let location =
                    location.ok_or_else(|| refuse("a redirect to nowhere".to_owned()))?;
                uri = parse(&joined(&uri, location)).map_err(refuse)?;
                continue;
            }
            if !status.is_success() {
                let status = status.as_u16();
                return Err(refuse(format!("its server answers with status {status}")));
            }
            let media = response.headers().get(header::CONTENT_TYPE);
            let media = media.and_then(|media| media.to_str().ok()).map(claimed);
            let body = response.into_body().into_with_config().limit(max_bytes);
            return match body.read_to_vec() {
                Ok(bytes) => Ok((media.flatten(), bytes)),
                Err(Error::BodyExceedsLimit(_)) => Err(too_many_bytes(path, max_bytes)),
                Err(error) => Err(refuse(told(&error))),
            };
        }
        let message = format!("more than {MAX_REDIRECTS} redirects");
        Err(refuse(message))
    }

    /// Whether a picture may come from there, as far as its address tells.
    fn check(&self, uri: &Uri) -> Result<(), String> {
        let (host, port) = (uri.host().unwrap_or_default(), port(uri));
        if is_listed(&self.private, host, port) {
            return Ok(());
        }
        if !matches!(port, 80 | 443) {
            return Err(format!("pictures are not fetched from port {port}"));
        }
        let known = self
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host));
        match known || self.hosts.is_empty() {
            true => Ok(()),
            false => {
                Err("pictures are not fetched from this host (`remote_image_hosts`)".to_owned())
            }
        }
    }
}

/// An address of a kind that is fetched.
fn parse(url: &str) -> Result<Uri, String> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let mut known = ["http", "https"].into_iter();
    if !known.any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(
            "a picture's URL should begin with `data:`, `https://` or `http://`".to_owned(),
        );
    }
    let unreadable = |_| "the URL cannot be read".to_owned();
    let uri: Uri = url.parse().map_err(unreadable)?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    match authority.contains('@') {
        true => Err("a picture's URL should have no user in it".to_owned()),
        false => Ok(uri),
    }
}

/// Where a redirect leads.
fn joined(from: &Uri, location: &str) -> String {
    let scheme = from.scheme_str().unwrap_or_default();
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let folder = from
        .path()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        format!("{scheme}://{authority}{folder}/{location}")
    }
}

fn port(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(usual)
}

fn is_listed(list: &[String], host: &str, port: u16) -> bool {
    let name = format!("{host}:{port}");
    list.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// The media type that a server claims; many say of every file that it is bytes.
fn claimed(media: &str) -> Option<String> {
    let media = media.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    (!matches!(
        &*media,
        "" | "application/octet-stream" | "binary/octet-stream"
    ))
    .then_some(media)
}

/// What a client is told: whether to try another address, not what is at this one.
fn told(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "the picture was not there in time (`remote_image_seconds`)",
        Error::HostNotFound => "the picture's host is not known",
        Error::Other(other) if other.is::<NotPublic>() => {
            "the picture's host is not one of the public internet (`private_image_hosts`)"
        }
        Error::Tls(_) | Error::Rustls(_) => "the picture's host cannot be trusted: TLS fails",
        Error::BadUri(_) => "the URL cannot be read",
        _ => "the picture cannot be fetched",
    }
    .to_owned()
}

/// Looks addresses up, and gives only those that may be connected to.
#[derive(Debug)]
struct Guarded(Vec<String>);

#[derive(Debug, thiserror::Error)]
#[error("an address that is not public")]
struct NotPublic;

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let is_own = is_listed(&self.0, uri.host().unwrap_or_default(), port(uri));
        // One that is not public among others is somebody's attempt.
        match is_own || found.iter().all(|address| is_public(address.ip())) {
            true => Ok(found),
            false => Err(Error::Other(Box::new(NotPublic))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from: Uri = "http://a.example/b/c.png?d".parse().unwrap();
        for (location, expected) in [
            ("https://x.example/y", "https://x.example/y"),
            ("file:///etc/passwd", "file:///etc/passwd"),
            ("//x.example/y", "http://x.example/y"),
            ("/y", "http://a.example/y"),
            ("y", "http://a.example/b/y"),
        ] {
            assert_eq!(joined(&from, location), expected, "{location}");
        }
    }

    #[test]
    fn media_types_are_claims_where_they_say_something() {
        for (media, expected) in [
            ("image/PNG; charset=x", Some("image/png")),
            ("text/html", Some("text/html")),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(claimed(media).as_deref(), expected, "{media}");
        }
    }
}
