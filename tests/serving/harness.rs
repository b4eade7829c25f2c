//! An authority as a company runs it: the real program, a certificate, a port; and whoever calls it, rightly or not.

use crate::cli::harness::{AUTHORITY_BIN, DEADLINE, patiently, spawn};
use crate::harness::{CONFIG, policy};
use elevate::authority::rules::DEFAULT_SCHEMA;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// Who the authority is. Its port is another one in each test, which nothing but a transport has to know.
pub const ISSUER: &str = "https://localhost/company";

/// What stands above [`CONFIG`].
const HEAD: &str = "issuer = \"https://localhost/company\"\n";
/// What stands below it.
pub const LISTEN: &str = "[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"tls.pem\"\nkey = \"tls-key.pem\"\n\
                          metrics = \"127.0.0.1:0\"\n";

/// A certification authority of the company's own.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "the company");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for a host, from and until these years.
    pub fn certify(&self, host: &str, from: i32, until: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Files before the program starts.
pub struct Setup {
    pub dir: TempDir,
    pub ca: Ca,
    pub arguments: Vec<String>,
    pub variables: Vec<(&'static str, String)>,
}

impl Setup {
    /// A good certificate, [`CONFIG`] and [`LISTEN`].
    pub fn new() -> Self {
        Self::listening(LISTEN)
    }

    pub fn listening(listen: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("el").tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("config")).unwrap();
        let setup = Self { dir, ca: Ca::new(), arguments: Vec::new(), variables: Vec::new() };
        setup.write("authority.toml", &format!("{HEAD}{CONFIG}{listen}"));
        setup.write("policy.cedar", &policy());
        setup.write("schema.cedarschema", DEFAULT_SCHEMA);
        setup.write_certificate(&setup.ca.certify("localhost", 2020, 2120));
        setup
    }

    /// With a socket beside the network.
    pub fn with_socket(mut self) -> Self {
        self.arguments.extend(["--socket".to_owned(), self.socket().display().to_string()]);
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/authority.sock")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// Replaces a file of the configuration, mode 0600.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.config().join(name), text);
    }

    pub fn write_certificate(&self, (certificate, key): &(String, String)) {
        self.write("tls.pem", certificate);
        self.write("tls-key.pem", key);
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("stderr")
    }

    /// The program and its arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(AUTHORITY_BIN);
        command.arg("serve").arg("--config").arg(self.config()).arg("--data").arg(self.dir.path().join("data"));
        command.args(&self.arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(self.log()).unwrap());
        command
    }

    /// It starts, and answers.
    pub fn start(self) -> Service {
        let child = spawn(&mut self.command());
        let mut service = Service { setup: self, child, address: nowhere(), metrics: nowhere() };
        service.address = service.listening_on("address");
        service.metrics = service.listening_on("metrics");
        service
    }

    /// It does not start; what it says.
    pub fn refused(self) -> String {
        let mut child = spawn(&mut self.command());
        let status = wait(&mut child);
        let said = fs::read_to_string(self.log()).unwrap();
        assert_eq!(status.code(), Some(11), "{said}");
        said
    }
}

fn nowhere() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}

pub fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}

pub fn wait(child: &mut Child) -> ExitStatus {
    patiently(DEADLINE, || child.try_wait().unwrap()).expect("it ends")
}

/// An authority that runs; ends with this value.
pub struct Service {
    pub setup: Setup,
    child: Child,
    pub address: SocketAddr,
    pub metrics: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Everything it wrote.
    pub fn said(&self) -> String {
        fs::read_to_string(self.setup.log()).unwrap()
    }

    /// Every line it wrote, read as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let said = self.said();
        // The last one may be half-written.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// The first line that is so.
    pub fn line(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        patiently(DEADLINE, || self.lines().into_iter().find(|line| is_so(line)))
            .unwrap_or_else(|| panic!("no line says {what}: {}", self.said()))
    }

    /// Waits until a line says so.
    pub fn says(&self, text: &str) -> Value {
        self.line(text, |line| line.to_string().contains(text))
    }

    fn listening_on(&self, what: &str) -> SocketAddr {
        let line = self.line(what, |line| line["message"] == "listening" && line["what"] == what);
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Somebody at this address of the machine, who knows the company's CA.
    pub fn client_at(&self, last: u8) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.setup.ca.pem.as_bytes()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([ca]).resolve("localhost", self.address);
        builder.local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).timeout(DEADLINE).build().unwrap()
    }

    pub fn client(&self) -> reqwest::Client {
        self.client_at(1)
    }

    /// The status of `GET` there, over a connection of its own.
    pub async fn status(&self, path: &str) -> u16 {
        self.client().get(self.url(path)).send().await.unwrap().status().as_u16()
    }

    /// `/metrics`, `/livez` or `/readyz`, as whoever watches sees it: status and text.
    pub async fn watched(&self, path: &str) -> (u16, String) {
        let answer = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let answer = answer.get(format!("http://{}{path}", self.metrics)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// One number of `/metrics`.
    pub async fn number(&self, name: &str) -> f64 {
        let (_, text) = self.watched("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse().unwrap())
    }

    /// A bare connection from this address of the machine.
    pub fn connect_from(&self, last: u8) -> TcpStream {
        connect(self.address, last)
    }

    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

pub fn connect(to: SocketAddr, last: u8) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Says something over a bare connection; all that comes back until its end.
pub fn say(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Whether the other side has ended a connection by now.
pub fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
