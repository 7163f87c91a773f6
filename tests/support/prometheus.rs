//! A real Prometheus as a child process, and an exporter for it to scrape.
//!
//! Debian's package is downloaded once with `apt-get` into `target/kit` and unpacked there; nothing is installed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::kafka::{HeldPort, take_port};
use super::kit_dir;

/// How long it may take to answer, and to scrape what was set. It takes a fraction of a second on a quiet machine.
const WITHIN: Duration = Duration::from_secs(120);

/// What the exporter says at a scrape, in the text format; nothing at all is an exporter that does not answer.
type Source = Box<dyn Fn() -> String + Send>;

/// A running Prometheus that scrapes one exporter every 500 ms. Gone when dropped, and when the test process dies.
pub struct Prometheus {
    /// Base address; `https` when it was started with TLS.
    pub url: String,
    exported: Arc<Mutex<Source>>,
    child: Child,
    _port: HeldPort,
    _dir: tempfile::TempDir,
}

/// The binary, fetched if this machine has not got it.
fn binary() -> PathBuf {
    let installed = Path::new("/usr/bin/prometheus");
    if installed.exists() {
        return installed.to_owned();
    }
    let dir = kit_dir().join("prometheus");
    fs::create_dir_all(&dir).expect("a directory for the kit");
    let lock = File::create(dir.join("lock")).expect("a lock file");
    lock.lock().expect("the lock of the kit");
    let binary = dir.join("root/usr/bin/prometheus");
    if binary.exists() {
        return binary;
    }
    let runs = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).current_dir(&dir).stdout(Stdio::null()).status();
        done.is_ok_and(|s| s.success())
    };
    let run = |program: &str, args: &[&str]| {
        assert!(runs(program, args), "`{program} {}` failed: Debian's package prometheus", args.join(" "));
    };
    if !runs("apt-get", &["download", "-q", "prometheus"]) {
        // Package lists that were never read here, or are old: lists of our own.
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(folder)).expect("a directory for package lists");
        }
        let lists = format!("Dir::State::lists={}", dir.join("lists").display());
        let cache = format!("Dir::Cache={}", dir.join("cache").display());
        run("apt-get", &["-q", "-o", &lists, "-o", &cache, "update"]);
        run("apt-get", &["-q", "-o", &lists, "-o", &cache, "download", "prometheus"]);
    }
    let package = fs::read_dir(&dir).expect("readable").map(|f| f.expect("readable").path());
    let package = package.filter(|p| p.extension().is_some_and(|e| e == "deb")).max().expect("apt-get left a package");
    run("dpkg-deb", &["-x", &package.display().to_string(), "root"]);
    assert!(binary.exists(), "{} is in Debian's package", binary.display());
    binary
}

/// What Prometheus' own linter says of a page in the text format: nothing, when all is well.
pub fn lint(page: &str) -> String {
    promtool(&["check", "metrics"], page)
}

/// The same of a file of alert rules; it names their number when all is well.
pub fn lint_rules(rules: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules).expect("it can be written");
    promtool(&["check", "rules", &file.path().display().to_string()], "")
}

fn promtool(args: &[&str], input: &str) -> String {
    let promtool = binary().with_file_name("promtool");
    let piped = Stdio::piped;
    let mut command = Command::new(promtool);
    let child = command.args(args).stdin(piped()).stdout(piped()).stderr(piped()).spawn();
    let mut child = child.expect("promtool is in the same package");
    let mut to = child.stdin.take().expect("piped");
    to.write_all(input.as_bytes()).expect("it reads the page");
    drop(to);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { said } else { format!("{said}{}", output.status) }
}

impl Prometheus {
    /// Starts one; `web` is its web configuration (TLS, users), with files by absolute paths.
    pub fn start(web: Option<&str>) -> Self {
        Self::start_scraping(web, &[])
    }

    /// One that has a past already: samples in the OpenMetrics format, with their times.
    pub fn start_with_past(open_metrics: &str) -> Self {
        Self::launch(None, &[], Some(open_metrics))
    }

    /// The same as [`Prometheus::start`], and it scrapes `more` addresses besides the exporter.
    pub fn start_scraping(web: Option<&str>, more: &[&str]) -> Self {
        Self::launch(web, more, None)
    }

    fn launch(web: Option<&str>, more: &[&str], past: Option<&str>) -> Self {
        let exported: Arc<Mutex<Source>> = Arc::new(Mutex::new(Box::new(String::new)));
        let exporter = export(Arc::clone(&exported));
        let (dir, port) = (tempfile::tempdir().expect("a directory"), take_port());
        let targets = [&[exporter.as_str()], more].concat().join("', '");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 400ms }}\n\
             scrape_configs: [{{ job_name: t, static_configs: [{{ targets: ['{targets}'] }}] }}]\n"
        );
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let mut args = vec![
            format!("--config.file={}", file("prometheus.yml", &config)),
            format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{}", port.number),
        ];
        args.extend(web.map(|text| format!("--web.config.file={}", file("web.yml", text))));
        if let Some(past) = past {
            let (input, data) = (file("past.om", past), dir.path().join("data").display().to_string());
            let said = promtool(&["tsdb", "create-blocks-from", "openmetrics", &input, &data], "");
            assert!(!said.contains("exit status") && !said.contains("err"), "the past is written: {said}");
        }
        // ends with standard input, however the test process ends
        let child = Command::new("sh")
            .args(["-c", r#""$@" & p=$!; read _; kill -9 $p; wait $p"#, "watchdog"])
            .arg(binary())
            .args(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("log")).expect("a log"))
            .process_group_0()
            .spawn()
            .expect("sh starts");
        let scheme = if web.is_some_and(|w| w.contains("tls_server_config")) { "https" } else { "http" };
        let prometheus =
            Self { url: format!("{scheme}://127.0.0.1:{}", port.number), exported, child, _port: port, _dir: dir };
        prometheus.wait_ready();
        prometheus
    }

    fn wait_ready(&self) {
        let begun = Instant::now();
        let address = self.url.split("://").nth(1).expect("an address");
        while TcpStream::connect(address).is_err() {
            let log = fs::read_to_string(self._dir.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < WITHIN && !log.contains("Error loading"), "prometheus did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sets what the exporter says from now on.
    pub fn export(&self, text: &str) {
        let text = text.to_owned();
        self.export_from(move || text.clone());
    }

    /// Has the exporter ask `source` at each scrape from now on.
    pub fn export_from(&self, source: impl Fn() -> String + Send + 'static) {
        *self.exported.lock().expect("nobody panics with it") = Box::new(source);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

trait OwnGroup {
    fn process_group_0(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    /// Ctrl-C goes to the test process alone; the watchdog then does its work.
    fn process_group_0(&mut self) -> &mut Self {
        use std::os::unix::process::CommandExt as _;
        self.process_group(0)
    }
}

/// Serves what `source` says to whoever asks, until the process ends; its address. An empty text is no answer at all: 503.
fn export(source: Arc<Mutex<Source>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = (source.lock().expect("nobody panics with it"))();
            let status = if body.is_empty() { "503 Service Unavailable" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close");
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}
