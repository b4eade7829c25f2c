//! How an authority is reached: over a socket of this machine, or over TLS. Knows HTTP, proxies and retries, and says why
//! nobody was reached; what is asked is the caller's.

use super::address::Address;
use super::config::Config;
use super::embedded;
use super::error::Error;
use super::patience::Patience;
use super::places::Places;
use super::system;
use super::tls::{Certified, Judge};
use crate::protocol::display::escaped;
use crate::protocol::issuer::Issuer;
use crate::protocol::messages::ErrorCode;
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use reqwest::{ClientBuilder, Proxy, RequestBuilder, StatusCode};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Bytes an answer may have.
const ANSWER_MAX: usize = 16 << 20;

/// The loopback addresses; the port is the URL's.
const THIS_MACHINE: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)];

/// One answer.
pub struct Reply {
    /// How it went.
    pub status: StatusCode,
    /// What was said.
    pub body: Vec<u8>,
    /// Where a redirect would lead: nobody follows one.
    pub location: Option<String>,
}

/// The way to one authority.
pub struct Transport {
    http: reqwest::Client,
    /// Taken when this ends.
    runtime: Option<tokio::runtime::Runtime>,
    address: Address,
    /// Without credentials.
    proxy: Option<String>,
    judge: Option<Arc<Judge>>,
    places: Places,
    config: Config,
    patience: Patience,
    /// The last `DPoP` nonce.
    nonce: RefCell<Option<String>>,
    /// The last answer's `Date`.
    date: RefCell<Option<String>>,
    peer: Cell<Option<SocketAddr>>,
    /// It did not answer in time: every further request would take its whole time again.
    silent: Cell<bool>,
}

impl Transport {
    /// Sees to it that somebody trusted listens where that can be told beforehand, starting the embedded authority where it
    /// does not run.
    ///
    /// # Errors
    /// [`ErrorCode::AuthorityUnreachable`]; a `ca_file` or a proxy that can't be used.
    pub fn open(
        address: &Address,
        places: &Places,
        config: &Config,
        patience: Patience,
        nonce: Option<String>,
    ) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(patience.answer());
        let mut proxy = None;
        let mut judge = None;
        // To what is on this machine nothing leads through a proxy, and no certificate is loaded.
        let builder = match address {
            Address::Embedded => local(builder).unix_socket(embedded::ensure(places, config, patience)?),
            Address::Socket(socket) => {
                system::answering(socket, patience)?;
                local(builder).unix_socket(socket.clone())
            }
            // RFC 6761 section 6.3: whatever a resolver says of that name, it is this machine.
            Address::Loopback(issuer) => local(builder).resolve_to_addrs(issuer.host(), &THIS_MACHINE),
            Address::Network(issuer) => {
                let judge = judge.insert(Judge::new(issuer.host(), config.ca_file(issuer, places))?);
                let builder = builder.tls_backend_preconfigured(judge.configuration()?);
                match proxy_for(issuer)? {
                    Some((reqwest_proxy, shown)) => {
                        proxy = Some(shown);
                        builder.proxy(reqwest_proxy)
                    }
                    None => builder.no_proxy(),
                }
            }
        };
        let http = builder.build().map_err(|error| Error::failed(format!("HTTP can't be spoken: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failed(format!("no requests can be made: {error}")))?;
        Ok(Self {
            http,
            runtime: Some(runtime),
            address: address.clone(),
            proxy,
            judge,
            places: places.clone(),
            config: config.clone(),
            patience,
            nonce: RefCell::new(nonce),
            date: RefCell::default(),
            peer: Cell::default(),
            silent: Cell::default(),
        })
    }

    /// Whom this leads to.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The proxy on the way, if there is one.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// Who was at the other end of the last connection: the authority or the proxy.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer.get()
    }

    /// What vouched for the authority's certificate.
    #[must_use]
    pub fn certified(&self) -> Option<&Certified> {
        self.judge.as_ref()?.certified()
    }

    /// The last `DPoP` nonce that it handed out (RFC 9449, section 8).
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        self.nonce.borrow().clone()
    }

    /// What the authority's clock said in its last answer (RFC 9110, section 6.6.1).
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let date = self.date.borrow();
        let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", date.as_deref()?).ok()?;
        jiff::tz::Offset::UTC.to_timestamp(date).ok()
    }

    /// A request for `path`; a socket decides where it goes, and `DPoP` signs the issuer's URL.
    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        let url = match &self.address {
            Address::Embedded | Address::Socket(_) => format!("http://localhost{path}"),
            Address::Network(issuer) => format!("https://{}{path}", issuer.authority()),
            Address::Loopback(issuer) => format!("http://{}{path}", issuer.authority()),
        };
        self.http.request(method, url)
    }

    /// Sends; once more where the connection was closed without a word, as by an authority that was just ending.
    ///
    /// # Errors
    /// [`ErrorCode::AuthorityUnreachable`], with what is in the way.
    pub fn send(&self, request: &dyn Fn() -> RequestBuilder) -> Result<Reply, Error> {
        if self.silent.get() {
            return Err(self.did_not_answer());
        }
        let reply = match self.exchange(request()) {
            Err(error) if error.is_timeout() || error.is_builder() || (error.is_connect() && !self.is_socket()) => {
                Err(error)
            }
            Err(_) => {
                self.find_again()?;
                self.exchange(request())
            }
            Ok(reply) => Ok(reply),
        };
        reply.map_err(|error| {
            if error.is_timeout() {
                self.silent.set(true);
                return self.did_not_answer();
            }
            self.why_unreachable(&error)
        })
    }

    const fn is_socket(&self) -> bool {
        matches!(self.address, Address::Embedded | Address::Socket(_))
    }

    fn find_again(&self) -> Result<(), Error> {
        match &self.address {
            Address::Embedded => embedded::ensure(&self.places, &self.config, self.patience).map(|_| ()),
            Address::Socket(socket) => system::answering(socket, self.patience),
            Address::Network(_) | Address::Loopback(_) => Ok(()),
        }
    }

    fn exchange(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.one_exchange(request)),
            None => unreachable!("it is there until this ends"),
        }
    }

    async fn one_exchange(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url().path());
        let mut response = self.http.execute(request).await?;
        tracing::debug!(what, status = response.status().as_u16(), "the authority answered");
        self.peer.set(response.remote_addr());
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(nonce) = header("dpop-nonce") {
            *self.nonce.borrow_mut() = Some(nonce);
        }
        *self.date.borrow_mut() = header("date");
        let (status, location) = (response.status(), header("location"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body, location })
    }

    fn did_not_answer(&self) -> Error {
        let seconds = self.patience.answer().as_secs();
        let (who, hint) = match (&self.address, &self.proxy) {
            (Address::Embedded, _) => (
                "the authority".to_owned(),
                "it may be busy, or have been stopped: `pgrep -a elevate-authority` shows it".to_owned(),
            ),
            (address, None) => {
                (address.to_string(), "it may be busy, or something on the way drops what is sent".to_owned())
            }
            (address, Some(proxy)) => {
                (format!("{address} (through the proxy {proxy})"), "the proxy or the authority may be busy".to_owned())
            }
        };
        unreachable(format!("{who} did not answer within {seconds} seconds")).hint(hint)
    }

    /// In the words of whoever has to mend it.
    fn why_unreachable(&self, error: &reqwest::Error) -> Error {
        let causes = causes(error);
        let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
        if let (Some(judge), Some(error)) = (&self.judge, tls) {
            return judge.explain(error);
        }
        let issuer = match &self.address {
            Address::Embedded | Address::Socket(_) => {
                let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
                return unreachable(format!("the authority can't be reached{cause}"));
            }
            Address::Network(issuer) | Address::Loopback(issuer) => issuer,
        };
        let texts: Vec<String> = causes.iter().map(|cause| escaped(&cause.to_string())).collect();
        let last = texts.last().map_or("it can't be told why", String::as_str);
        let host = issuer.host();
        let io = |kind| causes.iter().filter_map(|it| it.downcast_ref::<std::io::Error>()).any(|it| it.kind() == kind);
        let is_name = texts.iter().any(|text| text.starts_with("dns error"));
        if let Some(proxy) = &self.proxy {
            let hint = "HTTPS_PROXY names it; NO_PROXY can leave this host out";
            let message = if is_name {
                format!("the proxy {proxy} has no address: {last}")
            } else if io(ErrorKind::ConnectionRefused) {
                format!("the proxy {proxy} takes no connection")
            } else if error.is_connect() {
                format!("the proxy {proxy} lets nobody through to {host}: {last}")
            } else {
                format!("{host} can't be reached through the proxy {proxy}: {last}")
            };
            return unreachable(message).hint(hint);
        }
        let there = issuer.authority();
        if is_name {
            unreachable(format!("{host} has no address: {last}"))
                .hint("look at its spelling, and whether names are resolved here")
        } else if io(ErrorKind::ConnectionRefused) {
            unreachable(format!("{there} takes no connection"))
                .hint("no authority runs there, or a firewall refuses it")
        } else if error.is_connect() && io(ErrorKind::UnexpectedEof) {
            unreachable(format!("{there} ended the connection before there was TLS"))
                .hint("look whether host and port are the authority's")
        } else {
            unreachable(format!("{there} can't be reached: {last}"))
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // A name that is still being looked up is waited for by nobody.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn local(builder: ClientBuilder) -> ClientBuilder {
    builder.no_proxy().tls_certs_only([])
}

/// The proxy that the environment names for this host (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and how it is shown.
fn proxy_for(issuer: &Issuer) -> Result<Option<(Proxy, String)>, Error> {
    let Ok(url) = format!("https://{}/", issuer.authority()).parse() else { return Ok(None) };
    let Some(found) = Matcher::from_env().intercept(&url) else { return Ok(None) };
    let shown = escaped(found.uri().to_string().trim_end_matches('/'));
    let fault = |why: String| Error::usage(format!("the proxy {shown} can't be used: {why}"));
    if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
        return Err(fault("write http://HOST:PORT in HTTPS_PROXY".into()));
    }
    let mut proxy = Proxy::all(found.uri().to_string()).map_err(|error| fault(error.to_string()))?;
    if let Some(authorization) = found.basic_auth() {
        proxy = proxy.custom_http_auth(authorization.clone());
    }
    Ok(Some((proxy, shown)))
}

/// The causes of an error, the nearest first; also those that an I/O error wraps, which are not its sources.
fn causes<'a>(error: &'a reqwest::Error) -> Vec<&'a (dyn std::error::Error + 'static)> {
    let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    std::iter::successors(first, |cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
    })
    .collect()
}

fn unreachable(message: String) -> Error {
    Error::new(ErrorCode::AuthorityUnreachable, message)
}
