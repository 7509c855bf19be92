//! What an operator may set, and the limits that hold otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use janus_pipeline::WideSteps;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Settings of a server; each has a name in the settings file, a flag and an environment variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// What clients have to send as `Authorization: Bearer KEY`; none lets everybody in.
    pub api_key: Option<String>,
    /// Whether other machines may come without a key.
    pub insecure: bool,
    /// Origins of web pages that may call, beside the server's own page.
    pub allowed_origins: Vec<String>,
    /// Names by which the server is called, beside `localhost`, where it listens on a loopback
    /// address, as it does behind a proxy.
    pub allowed_hosts: Vec<String>,
    /// Requests under way, those that wait included; further ones are told to come back.
    pub max_requests: usize,
    /// Rows of the decode batch: an answer has one, a guided picture two.
    pub max_rows: usize,
    /// Memory of the cache of keys and values, in MiB.
    pub cache_mib: usize,
    /// Positions of a prompt that are run between two steps of those that are being generated.
    pub prompt_piece: usize,
    /// Which sequences take their steps by the transformer's form for many rows, where an export has
    /// two forms.
    pub wide_steps: WideSteps,
    /// Connections at a time.
    pub max_connections: usize,
    /// Length of a request's body in bytes.
    pub max_body_bytes: usize,
    /// Pictures in a request.
    pub max_pictures: usize,
    /// Pixels of a picture in a request.
    pub max_pixels: u64,
    /// Whether pictures may be named by addresses of other servers, which are then asked for them.
    pub allow_remote_images: bool,
    /// Hosts that may be asked for pictures; none is every host of the public internet.
    pub remote_image_hosts: Vec<String>,
    /// `HOST:PORT` of hosts that may be asked for pictures though their addresses are not public.
    pub private_image_hosts: Vec<String>,
    /// Seconds in which the pictures of a request have to be there.
    pub remote_image_seconds: u64,
    /// Length of a drawing prompt in bytes.
    pub max_prompt_bytes: usize,
    /// Answers, or pictures, to one request.
    pub max_n: usize,
    /// Tokens of an answer where the request does not say.
    pub default_max_tokens: usize,
    /// Seconds after which a request is given up.
    pub request_seconds: u64,
    /// Seconds in which the head of a request has to arrive.
    pub header_seconds: u64,
    /// Seconds in which the body of a request has to arrive.
    pub body_seconds: u64,
    /// Seconds in which a client has to take something of what is sent to it.
    pub write_seconds: u64,
    /// Seconds after which a stream without events gets a comment.
    pub ping_seconds: u64,
    /// Seconds that requests under way are given when the server is told to stop.
    pub drain_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            api_key: None,
            insecure: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            max_requests: 128,
            max_rows: 32,
            cache_mib: 4096,
            prompt_piece: 64,
            wide_steps: WideSteps::Pictures,
            max_connections: 1024,
            max_body_bytes: 32_000_000,
            max_pictures: 8,
            max_pixels: 40_000_000,
            allow_remote_images: false,
            remote_image_hosts: Vec::new(),
            private_image_hosts: Vec::new(),
            remote_image_seconds: 10,
            max_prompt_bytes: 32_768,
            max_n: 4,
            default_max_tokens: 512,
            request_seconds: 600,
            header_seconds: 10,
            body_seconds: 30,
            write_seconds: 30,
            ping_seconds: 15,
            drain_seconds: 30,
        }
    }
}

impl Settings {
    /// How long a stream may have nothing to tell.
    pub(crate) fn quiet(&self) -> Duration {
        Duration::from_secs(self.ping_seconds)
    }

    /// How long pictures of other servers may take.
    pub(crate) fn fetching(&self) -> Duration {
        Duration::from_secs(self.remote_image_seconds)
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`], and [`Error::NoKey`] where other machines could come without a key.
    pub fn check(&self) -> Result<()> {
        let at_least_one = [
            ("max_requests", self.max_requests),
            ("max_rows", self.max_rows),
            ("cache_mib", self.cache_mib),
            ("prompt_piece", self.prompt_piece),
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("max_n", self.max_n),
            ("default_max_tokens", self.default_max_tokens),
            ("remote_image_seconds", self.remote_image_seconds as usize),
            ("request_seconds", self.request_seconds as usize),
            ("header_seconds", self.header_seconds as usize),
            ("body_seconds", self.body_seconds as usize),
            ("write_seconds", self.write_seconds as usize),
            ("ping_seconds", self.ping_seconds as usize),
        ];
        if let Some((setting, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Setting {
                setting,
                value: "0".to_owned(),
                expected: "1 or above",
            });
        }
        let hosts = &self.private_image_hosts;
        let has_port = |host: &&String| {
            let port = host
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse::<u16>().ok());
            port.is_some()
        };
        if let Some(host) = hosts.iter().find(|host| !has_port(host)) {
            return Err(Error::Setting {
                setting: "private_image_hosts",
                value: host.clone(),
                expected: "HOST:PORT",
            });
        }
        let key = self.api_key.as_deref();
        if key.is_some_and(|key| key.is_empty() || !key.is_ascii()) {
            return Err(Error::Setting {
                setting: "api_key",
                value: "empty or not ASCII".to_owned(),
                expected: "ASCII characters",
            });
        }
        if !self.listen.ip().is_loopback() && key.is_none() && !self.insecure {
            let address = self.listen.to_string();
            return Err(Error::NoKey { address });
        }
        Ok(())
    }
}
