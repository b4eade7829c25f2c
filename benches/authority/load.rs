//! The one load generator: callers with a connection each, who take what is to be asked from a common pile that was made
//! ahead, so that no signing of theirs but that of a challenge is part of what is measured.

use super::processes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Makes the next request from the answer to the one before.
type Then = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// One thing to ask: a request, and what is asked after its answer.
pub struct Item {
    pub request: Vec<u8>,
    /// For what takes two.
    pub then: Option<Then>,
}

/// What came of a run.
pub struct Run {
    took: Duration,
    latencies: Vec<Duration>,
    server: Duration,
    generator: Duration,
    rates: Vec<f64>,
}

impl Run {
    /// Rounds as one run.
    pub fn together(runs: Vec<Self>) -> Self {
        let sum = |of: fn(&Self) -> Duration| runs.iter().map(of).sum();
        let (took, server, generator) = (sum(|run| run.took), sum(|run| run.server), sum(|run| run.generator));
        let rates = runs.iter().flat_map(|run| run.rates.clone()).collect();
        let mut latencies: Vec<Duration> = runs.into_iter().flat_map(|run| run.latencies).collect();
        latencies.sort_unstable();
        Self { took, latencies, server, generator, rates }
    }

    /// A second: the median of its rounds.
    pub fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    /// Milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.latencies[(self.latencies.len() * percent / 100).min(self.latencies.len() - 1)].as_secs_f64() * 1000.0
    }

    /// The server's processor time for one.
    pub fn cpu_each(&self) -> Duration {
        self.server / u32::try_from(self.latencies.len()).unwrap()
    }

    /// The generator's share of one processor; it has one thread.
    pub fn generator(&self) -> f64 {
        self.generator.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// Has `callers` at once ask for `items` until the time is over or nothing is left to ask.
pub async fn run(server: SocketAddr, process: u32, callers: usize, items: Vec<Item>, time: Duration) -> Run {
    let (items, next) = (Arc::new(items), Arc::new(AtomicUsize::new(0)));
    let mut connections = Vec::new();
    for _ in 0..callers {
        connections.push(Connection::open(server).await);
    }
    let (server, generator) = (processes::cpu_of(process), processes::own_cpu());
    let began = Instant::now();
    let asking: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let (items, next) = (items.clone(), next.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while began.elapsed() < time
                    && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let asked = Instant::now();
                    if let Some(then) = &item.then {
                        let answer = connection.ask(&item.request, 403).await;
                        let second = then(answer);
                        connection.ask(&second, 200).await;
                    } else {
                        connection.ask(&item.request, 200).await;
                    }
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for caller in asking {
        latencies.extend(caller.await.unwrap());
    }
    let took = began.elapsed();
    let (server, generator) = (processes::cpu_of(process).abs_diff(server), processes::own_cpu().abs_diff(generator));
    latencies.sort_unstable();
    let rates = vec![latencies.len() as f64 / took.as_secs_f64()];
    Run { took, latencies, server, generator, rates }
}

/// HTTP/1.1, kept alive: as little of it as both servers speak.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(16 << 10) }
    }

    /// Asks, and returns the body of the answer, whose status must be this.
    pub async fn ask(&mut self, request: &[u8], status: u16) -> &[u8] {
        let (head, body) = self.exchange(request).await;
        let said = head.split(' ').nth(1).unwrap();
        assert_eq!(said, status.to_string(), "{head}{}", String::from_utf8_lossy(body));
        body
    }

    /// Head and body of the answer.
    pub async fn exchange(&mut self, request: &[u8]) -> (String, &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let body = loop {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the server hung up");
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..body]).into_owned();
        let none = head.contains(" 204 ").then_some("0");
        let length = header(&head, "content-length").or(none).unwrap_or_else(|| panic!("no length: {head}"));
        let whole = body + length.parse::<usize>().unwrap();
        while self.buffer.len() < whole {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the server hung up");
        }
        (head, &self.buffer[body..whole])
    }
}

/// One header's value.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

/// A request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.extend(["\r\n", body]);
    text.into_bytes()
}

/// A port that was free a moment ago.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
