//! Connections: taken, bounded in number and time, and let go in the end.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::patience::Patient;
use crate::server::{App, router};
use crate::settings::Settings;

/// Fields of a request's head, and its length in bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 32 * 1024;
/// How long to wait when the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether everything is done.
const LOOK: Duration = Duration::from_millis(20);
/// What responses are given to reach their clients after the drain.
const FLUSH: Duration = Duration::from_secs(1);

/// A server that has an address, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut short because the time was up.
    pub cut: usize,
}

impl Server {
    /// Takes the address, so that nobody else can.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where it is taken, and those of [`Settings::check`].
    pub fn bind(settings: Settings) -> Result<Self> {
        settings.check()?;
        let address = settings.listen;
        let failed = |source| Error::Listen {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            settings,
        })
    }

    /// Where it listens; the port is known even where any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Serves a model until `stop` is there, and then until the requests under way are done or
    /// their time is up. `ready` is called when the first request can come.
    ///
    /// # Errors
    ///
    /// Where the model cannot be opened.
    pub fn run(
        self,
        model: Served<'_>,
        ready: impl FnOnce(SocketAddr),
        stop: impl Future<Output = ()>,
    ) -> Result<Drained> {
        let Self {
            listener,
            address,
            settings,
        } = self;
        let engine = Engine::start(model, &settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let what = "the network";
        let runtime = runtime.map_err(|source| Error::Start { what, source })?;
        let app = Arc::new(App::new(engine, settings));
        let drained = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener);
            let listener = listener.map_err(|source| Error::Listen {
                address: address.to_string(),
                source,
            })?;
            ready(address);
            Ok(serve(&listener, &app, stop).await)
        });
        // What still hangs on to a connection is not waited for.
        runtime.shutdown_timeout(Duration::ZERO);
        drained
    }
}

/// Until this process is asked to stop, by SIGTERM or Ctrl-C. It is to be awaited by what
/// [`Server::run`] runs.
pub async fn stop_signal() {
    let interrupted = async {
        // Without a handler nobody can ask in this way.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let mut interrupted = pin!(interrupted);
    either(terminated(), interrupted.as_mut()).await;
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// A model to be served.
#[derive(Debug)]
pub struct Served<'a> {
    /// How clients call it.
    pub name: String,
    /// The exported directory.
    pub dir: &'a janus_pipeline::ModelDir,
    /// How its graphs are opened.
    pub options: janus_pipeline::SessionOptions,
}

async fn serve(
    listener: &tokio::net::TcpListener,
    app: &Arc<App>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let connections = Connections::new(app);
    let mut stop = pin!(stop);
    while let Some(stream) = either(listener.accept(), stop.as_mut()).await {
        connections.take(stream.map(|(stream, _)| stream)).await;
    }
    app.drain();
    let deadline = Instant::now() + Duration::from_secs(app.settings.drain_seconds);
    // Those who come now are told that the server is stopping.
    let done = async {
        while app.engine.tickets.out() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    };
    let mut done = pin!(done);
    while let Some(stream) = either(listener.accept(), done.as_mut()).await {
        connections.take(stream.map(|(stream, _)| stream)).await;
    }
    let cut = app.engine.tickets.out();
    if cut > 0 {
        app.engine.stop();
    }
    connections.finish().await;
    Drained { cut }
}

/// What comes of `work`; nothing once `end` is there.
async fn either<T>(
    work: impl Future<Output = T>,
    mut end: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        use std::task::Poll;
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Connections that are open.
struct Connections {
    router: Router,
    permits: Arc<Semaphore>,
    most: u32,
    header_time: Duration,
    write_time: Duration,
    closing: watch::Sender<bool>,
}

impl Connections {
    fn new(app: &Arc<App>) -> Self {
        let most = app.settings.max_connections;
        let most = u32::try_from(most).unwrap_or(u32::MAX >> 4);
        Self {
            router: router(Arc::clone(app)),
            permits: Arc::new(Semaphore::new(most as usize)),
            most,
            header_time: Duration::from_secs(app.settings.header_seconds),
            write_time: Duration::from_secs(app.settings.write_seconds),
            closing: watch::Sender::new(false),
        }
    }

    /// Serves a connection on a task of its own; one too many is closed.
    async fn take(&self, stream: std::io::Result<TcpStream>) {
        let Ok(stream) = stream else {
            // Out of sockets, or a client that has left already.
            tokio::time::sleep(PAUSE).await;
            return;
        };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return;
        };
        // Events are small and should leave at once.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router.clone());
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_time)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        let stream = TokioIo::new(Patient::new(stream, self.write_time));
        let connection = builder.serve_connection(stream, service);
        let mut closing = self.closing.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let closed = async {
                let _ = closing.wait_for(|closing| *closing).await;
            };
            let mut closed = pin!(closed);
            if either(connection.as_mut(), closed.as_mut()).await.is_none() {
                connection.as_mut().graceful_shutdown();
                // How it ends is the client's affair.
                let _ = connection.await;
            }
            drop(permit);
        });
    }

    /// Closes what is idle, and waits a moment for the rest.
    async fn finish(&self) {
        self.closing.send_replace(true);
        let all = self.permits.acquire_many(self.most);
        let _ = tokio::time::timeout(FLUSH, all).await;
    }
}
