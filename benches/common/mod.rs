//! What the benchmarks that measure in processes of their own share: arguments, children, and what a process took.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

/// `--name value` pairs.
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Of this process.
    pub fn take() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pairs = words.windows(2).filter_map(|w| Some((w[0].strip_prefix("--")?.to_owned(), w[1].clone())));
        Arguments(pairs.collect())
    }

    /// A number, or `default`.
    pub fn number(&self, name: &str, default: i64) -> i64 {
        self.0.get(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("--{name} takes a number")))
    }

    /// A word, or nothing.
    pub fn word(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// Runs one measurement in a process of its own; it prints for itself.
pub fn child(role: &str, clusters: &[&str; 2], more: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--role", role, "--blue", clusters[0], "--green", clusters[1]]);
    for (name, value) in more {
        command.args([format!("--{name}"), (*value).to_owned()]);
    }
    assert!(command.status().expect("it starts").success(), "{role} failed");
}

/// The peer: a bare consumer that gets the reader's waits. With its defaults it would be held up by them.
pub fn bare_consumer(bootstrap: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", bootstrap),
        ("group.id", "bare"),
        ("enable.auto.commit", "false"),
        ("check.crcs", "true"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.wait.max.ms", "10"),
    ] {
        config.set(name, value);
    }
    config.create().expect("a consumer")
}

/// Prints what was read, how fast, and what it took. `before`: resident memory before it began, KiB.
pub fn say(who: &str, records: u64, took: Duration, before: u64) {
    let seconds = took.as_secs_f64();
    println!(
        "{who}: {records} records in {seconds:.2} s = {:.0}/s, {:.1} s of processor time, peak memory {:.0} MB, {:.0} MB before",
        records as f64 / seconds,
        processor_seconds(),
        memory("VmHWM:") as f64 / 1024.0,
        before as f64 / 1024.0
    );
}

/// Processor time of this process so far: what others do on the machine does not change it much.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time, in hundredths of a second (USER_HZ).
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Resident memory of this process now, KiB.
pub fn resident() -> u64 {
    memory("VmRSS:")
}

fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find(|l| l.starts_with(line));
    found.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
