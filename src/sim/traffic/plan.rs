//! The plan of the demo: the same `cutover.toml` that an operator would write, with short waits so that a person
//! sees a cutover through in under a minute.

use std::fmt::Write;
use std::path::Path;

use super::spec::EstateSpec;

/// Where the demo's clusters are, and who they are.
#[derive(Debug, Clone)]
pub struct Addresses<'a> {
    /// Blue's bootstrap addresses and cluster id.
    pub blue: (&'a str, &'a str),
    /// Green's.
    pub green: (&'a str, &'a str),
}

/// A string as TOML writes it.
fn format_toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn format_toml_list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|i| format_toml_string(i)).collect();
    format!("[{}]", items.join(", "))
}

/// The text of `cutover.toml` for an estate. `flags` is the flag file, as the plan should name it.
#[must_use]
pub fn demo_plan_toml(estate: &EstateSpec, flags: &Path, addresses: &Addresses<'_>) -> String {
    let mut out = String::from(HEAD);
    // writing to a String can't fail, here and below
    let _ = write!(
        out,
        "[clusters.blue]\nname = \"legacy\"\nbootstrap = {}\ncluster_id = {}\n\n\
         [clusters.green]\nname = \"psc\"\nbootstrap = {}\ncluster_id = {}\n\n{DEFAULTS}",
        format_toml_string(addresses.blue.0),
        format_toml_string(addresses.blue.1),
        format_toml_string(addresses.green.0),
        format_toml_string(addresses.green.1),
    );
    let path = format_toml_string(&flags.to_string_lossy());
    write_topics(&mut out, estate);
    write_producers(&mut out, estate, &path);
    write_ledgers(&mut out, estate, &path);
    if !estate.ledgers.is_empty() {
        out.push_str(WINDOWS);
    }
    write_groups(&mut out, estate, &path);
    out
}

fn write_topics(out: &mut String, estate: &EstateSpec) {
    // Dead letters are named by their groups below, and no group's offsets on them are translated.
    for topic in estate.topics.iter().filter(|t| !t.name.ends_with(".dlq")) {
        // An exactly-once producer never writes to both: its topic has a seam, and no twins to align by.
        if estate.ledgers.iter().any(|l| l.topic == topic.name) {
            continue;
        }
        let _ = writeln!(out, "[[topics]]\nname = {}\nstrategy = \"align\"\n", format_toml_string(&topic.name));
    }
}

fn write_producers(out: &mut String, estate: &EstateSpec, path: &str) {
    for p in &estate.producers {
        let _ = writeln!(
            out,
            "[[producers]]\nname = {}\nteam = {}\ntopics = {}\ncritical = {}\n\
             flag = {{ provider = \"file\", path = {path}, key = {} }}\n",
            format_toml_string(&p.name),
            format_toml_string(&p.team),
            format_toml_list(&p.topics),
            p.critical,
            format_toml_string(&p.flag_key()),
        );
    }
}

/// The exactly-once producers.
fn write_ledgers(out: &mut String, estate: &EstateSpec, path: &str) {
    for l in &estate.ledgers {
        let _ = writeln!(
            out,
            "[[producers]]\nname = {}\nteam = {}\ntopics = [{}]\n\
             transactional_ids = {{ blue = [{}], green = [{}] }}\nreads = []\n\
             flag = {{ provider = \"file\", path = {path}, key = {} }}\n\
             still = \"3s\"\ndrain_timeout = \"30s\"\ncommit_timeout = \"30s\"\nkeep_blue = \"1m\"\n",
            format_toml_string(&l.name),
            format_toml_string(&l.team),
            format_toml_string(&l.topic),
            format_toml_string(&l.transactional_ids.0),
            format_toml_string(&l.transactional_ids.1),
            format_toml_string(&l.flag_key()),
        );
    }
}

fn write_groups(out: &mut String, estate: &EstateSpec, path: &str) {
    for g in &estate.groups {
        let _ = writeln!(
            out,
            "[[groups]]\nname = {}\nteam = {}\ntopics = {}\nmode = \"handover\"\n\
             switch = {{ provider = \"file\", path = {path}, key = {} }}",
            format_toml_string(&g.name),
            format_toml_string(&g.team),
            format_toml_list(&g.topics),
            format_toml_string(&g.switch_key()),
        );
        let dlq = g.topics.iter().map(|t| format!("{t}.dlq")).find(|d| estate.find_topic(d).is_some());
        if let Some(dlq) = dlq {
            let _ = writeln!(out, "dlq = {}", format_toml_string(&dlq));
        }
        out.push('\n');
    }
}

const HEAD: &str = "\
# The demo's plan: two simulated clusters on this machine, with live traffic. Everything in it is real but the
# clusters; copy it as a beginning for your own.

[migration]
name = \"loans-psc\"

";

/// Between them there is always one open for eleven hours more: whoever tries the demo need not wait for Sunday night.
const WINDOWS: &str = "\
[[windows]]
name = \"early\"
days = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"]
from = \"00:00\"
to = \"23:00\"
zone = \"UTC\"

[[windows]]
name = \"late\"
days = [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\", \"Sun\"]
from = \"12:00\"
to = \"11:00\"
zone = \"UTC\"

";

const DEFAULTS: &str = "\
[defaults]
# short, so that a person sees a whole cutover; a real one keeps the defaults of 4 h and 48 h
criteria = { lag_below = 100, lag_for = \"20s\" }
max_re_read = 500
drain_still = \"3s\"
drain_timeout = \"60s\"
stable_timeout = \"30s\"
settle_timeout = \"5s\"

[[triggers]]
name = \"green-lag\"
when = \"lag > 1000\"
for = \"15s\"
mode = \"sustained\"
arm = \"shadow\"

";
