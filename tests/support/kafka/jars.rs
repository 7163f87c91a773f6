//! Apache Kafka's jars, fetched once with `mvn` into `target/kit`, with what makes a start quick: an
//! AppCDS archive, and a formatted metadata directory to copy instead of a second JVM per broker.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::kit_dir;
use super::broker;
use super::jvm::Jvm;

/// One version's jars.
#[derive(Debug, Clone)]
pub struct Libs {
    /// Kafka version, "4.3.1".
    pub version: String,
    /// The directory with the jars.
    pub dir: PathBuf,
    /// What is in it, besides what that depends on.
    artifacts: &'static [&'static str],
}

/// Broker and command line tools.
const KAFKA: &[&str] = &["kafka_2.13", "kafka-tools"];
/// The tools were a part of the core jar before 3.5.
const OLD_KAFKA: &[&str] = &["kafka_2.13"];
/// MirrorMaker 2. A directory of its own: only tests that need it fetch it.
const CONNECT: &[&str] = &["connect-runtime", "connect-mirror", "connect-json"];

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kit</groupId><artifactId>kafka-libs</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <!--artifacts-->
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;
/// One of Kafka's artifacts.
const ARTIFACT: &str = "<dependency><groupId>org.apache.kafka</groupId><artifactId>NAME</artifactId><version>${kafka.version}</version></dependency>";
/// Other bindings of slf4j would win, and log nothing.
const NO_OTHER_SLF4J: &str =
    "-DexcludeArtifactIds=slf4j-reload4j,slf4j-log4j12,log4j-slf4j-impl,logback-classic,logback-core";

impl Libs {
    /// The jars of a version, fetched if this machine has not got them. Processes that come at the
    /// same time wait for the first. A machine without `java` or `mvn` gets one line that says so.
    pub fn get(version: &str) -> Libs {
        let artifacts = if version.starts_with("2.") { OLD_KAFKA } else { KAFKA };
        Libs::of(version, &format!("libs-{version}"), artifacts)
    }

    /// Connect's jars of a version, for MirrorMaker 2.
    pub fn connect(version: &str) -> Libs {
        Libs::of(version, &format!("libs-connect-{version}"), CONNECT)
    }

    fn of(version: &str, name: &str, artifacts: &'static [&'static str]) -> Libs {
        let kit = kit_dir();
        fs::create_dir_all(&kit).expect("a directory for the kit");
        let libs = Libs { version: version.to_owned(), dir: kit.join(name), artifacts };
        if libs.is_ready() {
            return libs;
        }
        let lock = File::create(kit.join(format!("{name}.lock"))).expect("a lock file in the kit");
        lock.lock().expect("the kit's lock");
        if !libs.dir.join(".done").exists() {
            libs.fetch();
        }
        if !libs.is_ready() {
            libs.prepare();
        }
        libs
    }

    /// Options and class path for a JVM of this version; the main class and its arguments follow.
    pub fn java(&self, heap: &str) -> Vec<String> {
        let mut args: Vec<String> = ["-Xms64m", heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k"]
            .iter()
            .map(|s| (*s).to_owned())
            .collect();
        args.push("-Djava.net.preferIPv4Stack=true".into());
        if self.archive().exists() {
            args.push(format!("-XX:SharedArchiveFile={}", self.archive().display()));
            args.extend(["-Xshare:auto".into(), "-Xlog:disable".into(), "-Xlog:all=error:stderr".into()]);
        }
        args.extend(["-cp".into(), format!("{}/*", self.dir.display())]);
        args
    }

    /// A directory as `StorageTool format` leaves it, with another cluster id than it will be used with.
    pub fn formatted(&self) -> PathBuf {
        self.dir.join("formatted")
    }

    fn archive(&self) -> PathBuf {
        self.dir.join("broker.jsa")
    }

    /// The archive and the formatted directory are there. An archive is bound to the jars' path: a
    /// `target` that was copied or moved makes a new one.
    fn is_ready(&self) -> bool {
        fs::read_to_string(self.dir.join(".prepared")).is_ok_and(|at| Path::new(&at) == self.dir)
    }

    fn fetch(&self) {
        need("java", &["-version"]);
        need("mvn", &["-version"]);
        let kit = self.dir.parent().expect("in the kit");
        // The lock is held: what has this name is left of a process that was killed while it fetched.
        let name = self.dir.file_name().and_then(|n| n.to_str()).unwrap_or("libs");
        let temp = kit.join(format!("fetch-{name}"));
        let _ = fs::remove_dir_all(&temp);
        fs::create_dir_all(&temp).expect("a temporary directory");
        let (pom, jars) = (temp.join("pom.xml"), temp.join("jars"));
        let artifacts: String = self.artifacts.iter().map(|name| ARTIFACT.replace("NAME", name)).collect();
        fs::write(&pom, POM.replace("<!--artifacts-->", &artifacts)).expect("a pom file");
        let output = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(&pom)
            .arg(format!("-Dkafka.version={}", self.version))
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime", NO_OTHER_SLF4J])
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .stdin(Stdio::null())
            .output()
            .expect("mvn runs");
        assert!(
            output.status.success(),
            "mvn could not fetch Kafka {} (is Maven Central reachable?):\n{}",
            self.version,
            String::from_utf8_lossy(&output.stdout)
        );
        fs::write(jars.join(".done"), &self.version).expect("a marker");
        let _ = fs::remove_dir_all(&self.dir);
        fs::rename(&jars, &self.dir).expect("the jars take their place");
        let _ = fs::remove_dir_all(&temp);
    }

    /// Formats the log directory of `properties`, with these SCRAM users.
    pub fn format(&self, properties: &Path, cluster_id: &str, users: &[&str]) {
        let mut format = self.java("-Xmx256m");
        format.extend(["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c"].map(String::from));
        format.extend([properties.display().to_string(), "--ignore-formatted".into()]);
        format.extend(users.iter().flat_map(|user| ["--add-scram".to_owned(), (*user).to_owned()]));
        // Without a locale of UTF-8 a JVM takes a password apart that is not ASCII.
        let ran = Command::new("java").args(format).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output();
        let output = ran.expect("java runs");
        assert!(output.status.success(), "format failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Once a version: format a directory to copy from, then run a broker to its orderly end, which
    /// writes the archive. Old brokers and Connect start without.
    fn prepare(&self) {
        need("java", &["-version"]);
        let _ = fs::remove_file(self.archive());
        let _ = fs::remove_dir_all(self.formatted());
        if self.artifacts == KAFKA {
            let run = tempfile::Builder::new().prefix("cutover-kit-").tempdir().expect("a temporary directory");
            let data = run.path().join("prepare");
            let (properties, _ports) = broker::kraft_properties(&data, &[]);
            self.format(&properties, "AAAAAAAAAAAAAAAAAAAAAA", &[]);
            copy_files(&data.join("log"), &self.formatted()).expect("the formatted directory is copied");
            let mut args = vec![format!("-XX:ArchiveClassesAtExit={}", self.archive().display())];
            args.extend(self.java("-Xmx512m"));
            args.extend(["kafka.Kafka".into(), properties.display().to_string()]);
            let jvm = Jvm::start("prepare", &data, &args, broker::STARTED);
            jvm.wait_ready();
            jvm.stop();
        }
        fs::write(self.dir.join(".prepared"), self.dir.display().to_string()).expect("a marker");
    }
}

/// Copies the files of one directory into another, which is made.
pub fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn need(program: &str, args: &[&str]) {
    let found =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        found.is_ok_and(|s| s.success()),
        "the real-Kafka tests need `{program}`: apt-get install openjdk-17-jre-headless maven"
    );
}
