//! Client properties: which names there are, what their values must be, and which are not a plan's to set. Everything
//! that can be told without a network is told here, for the plan, for `init -X`, and for both planes before they
//! connect: a name that librdkafka does not know would be passed over by the control plane, which then connects in
//! plaintext, and be refused by the data plane, with the value in its error.
//!
//! The names are librdkafka's. No finding repeats the value of a property that is, or may be, a secret; nor one that
//! comes from a variable or a file, where another secret than was meant may stand.

mod fate;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use super::problem::nearest;
use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::{visible_name, visible_path};
use fate::{Fate, fate};

/// What the value of a property must be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Bool,
    Whole(i64, i64),
    Number(f64, f64),
    /// One of these, whatever their case.
    Words(&'static [&'static str]),
    /// Some of these, with commas.
    List(&'static [&'static str]),
    File,
    FileOrFolder,
}

/// The longest setup of a connection that the control plane takes, ms.
const SETUP_MOST: i64 = 300_000;
/// SASL mechanisms that there are besides PLAIN, the one that both planes speak.
const OTHER_MECHANISMS: [&str; 4] = ["GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
/// Whether the names in certificates are checked.
const ALGORITHM: &str = "ssl.endpoint.identification.algorithm";

/// Values by property name; `None` where a value is a secret, or is not known here.
pub type Values<'a> = BTreeMap<&'a str, Option<&'a str>>;

/// Where a value comes from, and so whether a finding may repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It stands in the plan, or in an argument, under the name of a property that is no secret.
    Written,
    /// It comes from a variable or a file.
    Elsewhere,
}

/// How a connection is protected (`security.protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl Protocol {
    /// All there are.
    pub const ALL: [Protocol; 4] = [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl];

    /// The one of this name, whatever its case: the same reading for the plan's check and for both planes.
    #[must_use]
    pub fn named(text: &str) -> Option<Protocol> {
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text))
    }

    /// Whether TLS is used.
    #[must_use]
    pub fn tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }

    /// Whether SASL is used.
    #[must_use]
    pub fn sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }

    /// As written in properties.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plaintext => "PLAINTEXT",
            Protocol::Ssl => "SSL",
            Protocol::SaslPlaintext => "SASL_PLAINTEXT",
            Protocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// Something about one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The property.
    pub name: String,
    /// Whether nothing can be connected to with it; otherwise a person should know.
    pub refused: bool,
    /// What is wrong, and what to write instead.
    pub trouble: Trouble,
}

impl Finding {
    fn refused(name: &str, trouble: Trouble) -> Self {
        Self { name: name.to_owned(), refused: true, trouble }
    }

    fn told(name: &str, trouble: Trouble) -> Self {
        Self { name: name.to_owned(), refused: false, trouble }
    }
}

/// Everything that can be told about the properties of one cluster's clients without a network. What is given as a file
/// is not looked at: see [`unreadable`].
#[must_use]
pub fn check(values: &Values<'_>) -> Vec<Finding> {
    check_with(values, &BTreeSet::new())
}

/// As [`check`], where the values of some come from `elsewhere` (a variable, a file): no finding repeats those.
#[must_use]
pub fn check_with(values: &Values<'_>, elsewhere: &BTreeSet<&str>) -> Vec<Finding> {
    let origin = |name: &str| if elsewhere.contains(name) { Origin::Elsewhere } else { Origin::Written };
    let mut found = Vec::new();
    for (&name, value) in values {
        match unknown(name) {
            Some(trouble) => found.push(Finding::refused(name, trouble)),
            None => own(name, *value, origin(name), &mut found),
        }
    }
    twice(values, &mut found);
    if let Some(protocol) = protocol(values) {
        security(protocol, values, &origin, &mut found);
    }
    found
}

/// What makes a value that was just taken from a variable or a file unusable, its file included, without repeating it.
#[must_use]
pub(super) fn check_elsewhere(name: &str, value: &str) -> Option<Trouble> {
    let row = row(name)?;
    let mechanism = || match canonical(name) {
        "sasl.mechanisms" => mechanism_of(Some(value), Origin::Elsewhere),
        _ => None,
    };
    let file = || is_used(name).then(|| unreadable_of(name, value, Origin::Elsewhere)).flatten();
    wrong(row, value, Origin::Elsewhere).or_else(mechanism).or_else(file)
}

/// Properties as they are meant: an empty value is as good as none, as in the Java client, whose word for "no check of
/// host names" it is. One that its property does not take stays: [`check`] refuses it.
#[must_use]
pub fn effective(mut values: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if let Some(algorithm) = values.get_mut(ALGORITHM).filter(|a| a.is_empty()) {
        "none".clone_into(algorithm);
    }
    let empty = |name: &str| row(name).is_some_and(|row| wrong(row, "", Origin::Written).is_none());
    values.retain(|name, value| !(value.is_empty() && empty(name.as_str())));
    values
}

/// A value that its own property does not take; for tables of properties that hold only some of them.
#[must_use]
pub fn check_value(name: &str, value: &str) -> Option<Trouble> {
    let row = row(name)?;
    wrong(row, value, Origin::Written)
}

/// The file that a property names and that can't be read here, if so. Of a pipe nothing is said: to open one waits for
/// who writes to it, and takes what it holds.
#[must_use]
pub fn unreadable(name: &str, value: &str) -> Option<Trouble> {
    unreadable_of(name, value, Origin::Written)
}

fn unreadable_of(name: &str, value: &str, from: Origin) -> Option<Trouble> {
    let row = row(name)?;
    let folder = row.kind == Kind::FileOrFolder;
    if !(folder || row.kind == Kind::File) || value.is_empty() || (folder && value == "probe") {
        return None;
    }
    let why = match std::fs::metadata(value) {
        Ok(meta) if meta.is_dir() && folder => return None,
        Ok(meta) if meta.is_dir() => "it is a directory".to_owned(),
        Ok(meta) if !meta.is_file() => return None,
        Ok(_) => match std::fs::File::open(value) {
            Ok(_) => return None,
            Err(e) => e.to_string(),
        },
        Err(e) => e.to_string(),
    };
    let file = match from {
        Origin::Written => visible_path(std::path::Path::new(value)),
        Origin::Elsewhere => "the file that it names".to_owned(),
    };
    let what = format!("`{name}`: {file} can't be read: {why}");
    Some(Trouble::new(what, "check the path and its permissions (relative paths are relative to the plan)"))
}

/// The name that librdkafka itself has for a property.
#[must_use]
pub fn canonical(name: &str) -> &str {
    row(name).and_then(|r| r.alias).unwrap_or(name)
}

/// Whether a property reaches librdkafka as the plan has it: it knows it, and cutover does not set it itself.
#[must_use]
pub fn is_used(name: &str) -> bool {
    row(name).is_some() && fate(canonical(name)).is_none()
}

/// Whether a property's value is a secret: any name with `password`, `secret`, `passphrase` or a private key in it, and
/// all of OAUTHBEARER, whose free-form values carry tokens.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    redact::looks_secret(&name)
        || matches!(name.as_str(), "ssl.key.pem" | "ssl.keystore.key" | "basic.auth.user.info")
        || (name.starts_with("sasl.oauthbearer.") && !name.ends_with(".url") && !name.ends_with(".file"))
}

/// Whether a property is known to hold no secret, wherever its value comes from.
#[must_use]
pub fn is_public(name: &str) -> bool {
    row(name).is_some() && !is_secret(name)
}

/// Whether a value is one of those that its property has words for (a protocol, a number, a mechanism): whoever wrote it
/// gave nothing away. A property that takes any text foresees none.
#[must_use]
pub(super) fn is_foreseen(name: &str, value: &str) -> bool {
    let Some(row) = row(name) else { return false };
    let mechanism = || {
        let known =
            |m: &str| m.eq_ignore_ascii_case("PLAIN") || OTHER_MECHANISMS.iter().any(|o| o.eq_ignore_ascii_case(m));
        canonical(name) == "sasl.mechanisms" && known(value.trim())
    };
    let free = matches!(row.kind, Kind::Text | Kind::File | Kind::FileOrFolder);
    value.is_empty() || mechanism() || (!free && wrong(row, value, Origin::Elsewhere).is_none())
}

/// Whether what stands under a name that nobody knows is a secret as far as one can tell: the name is nearly that of one.
#[must_use]
pub fn means_secret(name: &str) -> bool {
    is_secret(name) || meant(name).is_some_and(is_secret)
}

/// Whether a property has this name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    row(name).is_some()
}

/// Whether names of properties begin with this one and a dot.
#[must_use]
pub fn is_prefix(name: &str) -> bool {
    names::KNOWN.iter().any(|row| row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

fn row(name: &str) -> Option<&'static names::Row> {
    let at = names::KNOWN.binary_search_by(|row| row.name.cmp(name)).ok()?;
    names::KNOWN.get(at)
}

/// What is wrong with a property's name, if anything.
fn unknown(name: &str) -> Option<Trouble> {
    if let Some((_, advice)) = names::JAVA.iter().find(|(java, _)| *java == name) {
        return Some(Trouble::new(format!("`{name}` is a property of the Java client"), *advice));
    }
    if canonical(name) == "metadata.broker.list" {
        return Some(Trouble::new(
            format!("`{name}` is set among the client properties"),
            "write the addresses as `bootstrap` of the cluster",
        ));
    }
    if row(name).is_some() {
        return None;
    }
    let advice = match meant(name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "librdkafka's CONFIGURATION.md lists the names".into(),
    };
    let shown = if name.chars().count() > 60 { "(a very long name)".to_owned() } else { visible_name(name) };
    Some(Trouble::new(format!("`{shown}` is not a client property"), advice))
}

/// The property that somebody meant who wrote this.
fn meant(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase().replace(['_', '-'], ".");
    let all = || names::KNOWN.iter().map(|row| row.name).chain(names::JAVA.iter().map(|(java, _)| *java));
    // `consumer.security.protocol`, `producer.override.acks`: what follows a prefix
    let behind = name.match_indices('.').map(|(at, _)| &name[at + 1..]).find_map(|rest| all().find(|n| *n == rest));
    all().find(|n| *n == name).or(behind).or_else(|| nearest(&name, all()))
}

/// What cutover does with a property that it knows, and whether its value can be one.
fn own(name: &str, value: Option<&str>, from: Origin, found: &mut Vec<Finding>) {
    let Some(row) = row(name) else { return };
    match fate(canonical(name)) {
        Some(Fate::Refused(why)) => {
            found.push(Finding::refused(name, Trouble::new(format!("`{name}`: {why}"), "leave it out")));
            return;
        }
        Some(Fate::Only(word, why)) if value.is_some_and(|v| !v.trim().eq_ignore_ascii_case(word)) => {
            found.push(Finding::refused(name, Trouble::new(format!("`{name}`: {why}"), "leave it out")));
            return;
        }
        Some(Fate::Ignored(why)) => {
            found.push(Finding::told(name, Trouble::new(format!("`{name}` has no effect: {why}"), "leave it out")));
        }
        Some(Fate::Only(..)) | None => {}
    }
    if let Some(trouble) = value.and_then(|value| wrong(row, value, from)) {
        found.push(Finding::refused(name, trouble));
    }
}

/// What is wrong with a value, if anything.
fn wrong(row: &names::Row, value: &str, from: Origin) -> Option<Trouble> {
    if value.contains('\0') {
        return Some(Trouble::new(format!("`{}` holds a NUL character", row.name), "check where its value comes from"));
    }
    let hidden = from == Origin::Elsewhere || is_secret(row.name);
    let bad = |wanted: String, near: Option<&str>| {
        // what it is like tells of it too
        let near = near.filter(|_| !hidden);
        let advice =
            near.map_or_else(|| format!("write {wanted}"), |n| format!("did you mean `{n}`? It must be {wanted}"));
        let shown = match () {
            () if hidden => "what it is".to_owned(),
            () if value.chars().count() > 60 => "a long text".to_owned(),
            () => format!("`{}`", visible_name(value)),
        };
        Some(Trouble::new(format!("`{}` is {shown}, and must be {wanted}", row.name), advice))
    };
    match row.kind {
        Kind::Text | Kind::File | Kind::FileOrFolder => None,
        Kind::Bool => {
            let lower = value.to_ascii_lowercase();
            let taken = ["true", "t", "1", "false", "f", "0"].contains(&lower.as_str());
            (!taken).then(|| bad("true or false".into(), nearest(value, ["true", "false"]))).flatten()
        }
        Kind::Whole(least, most) => {
            let most = if row.name == "socket.connection.setup.timeout.ms" { most.min(SETUP_MOST) } else { most };
            let acks = row.name.ends_with("acks") && value.eq_ignore_ascii_case("all");
            let fits = acks || value.parse::<i64>().is_ok_and(|n| (least..=most).contains(&n));
            (!fits).then(|| bad(format!("a whole number from {least} to {most}"), None)).flatten()
        }
        Kind::Number(least, most) => {
            let fits = value.parse::<f64>().is_ok_and(|n| (least..=most).contains(&n));
            (!fits).then(|| bad(format!("a number from {least} to {most}"), None)).flatten()
        }
        Kind::Words(words) => {
            let fits = words.iter().any(|w| w.eq_ignore_ascii_case(value))
                // librdkafka has a shorter word for the empty one: no check of host names
                || (row.name == ALGORITHM && value.is_empty());
            let words: Vec<String> = words.iter().map(|w| spelt(row.name, w)).collect();
            let near = nearest(value, words.iter().map(String::as_str));
            (!fits).then(|| bad(format!("one of {}", words.join(", ")), near)).flatten()
        }
        Kind::List(words) => {
            let mut all = value.split(',').map(str::trim).filter(|w| !w.is_empty());
            let odd = all.find(|w| !words.iter().any(|known| known.eq_ignore_ascii_case(w)));
            odd.and_then(|odd| bad(format!("some of {}", words.join(",")), nearest(odd, words.iter().copied())))
        }
    }
}

/// A word as people write it: protocols stand in capitals.
fn spelt(name: &str, word: &str) -> String {
    if name == "security.protocol" { word.to_ascii_uppercase() } else { word.to_owned() }
}

/// One property under two of its names: which of the two librdkafka takes is chance.
fn twice(values: &Values<'_>, found: &mut Vec<Finding>) {
    for name in values.keys().filter(|name| canonical(name) != **name) {
        let one = canonical(name);
        let other =
            values.keys().find(|k| **k != *name && canonical(k) == one && (canonical(name) == **k || **k < *name));
        if let Some(other) = other {
            let what = format!("`{name}` and `{other}` are two names of one property");
            found.push(Finding::refused(name, Trouble::new(what, "leave one of them out")));
        }
    }
}

/// `security.protocol`, where it is known and one.
fn protocol(values: &Values<'_>) -> Option<Protocol> {
    match values.get("security.protocol") {
        None => Some(Protocol::default()),
        Some(value) => Protocol::named((*value)?),
    }
}

/// What does not fit together, so that a connection would be another one than somebody thinks, or none.
fn security(is: Protocol, values: &Values<'_>, origin: &dyn Fn(&str) -> Origin, found: &mut Vec<Finding>) {
    let given = |name: &str| values.get(name).is_some_and(|v| v.is_none_or(|v| !v.is_empty()));
    let first = |prefix: &str| values.keys().copied().find(|k| k.starts_with(prefix) && row(k).is_some() && given(k));
    let protocol = is.name();
    let set = if given("security.protocol") { "" } else { ", as none is set" };
    if let Some(name) = first("sasl.").filter(|_| !is.sasl()) {
        let what =
            format!("`{name}` is set, and `security.protocol` is {protocol}{set}: nobody would be authenticated");
        let advice = "write \"security.protocol\" = \"SASL_SSL\", or leave `sasl.*` out";
        found.push(Finding::refused(name, Trouble::new(what, advice)));
    }
    if let Some(name) = first("ssl.").filter(|_| !is.tls()) {
        let what = format!("`{name}` is set, and `security.protocol` is {protocol}{set}: nothing would be encrypted");
        let advice = "write \"security.protocol\" = \"SSL\" or \"SASL_SSL\", or leave `ssl.*` out";
        found.push(Finding::told(name, Trouble::new(what, advice)));
    }
    if is.sasl() {
        sasl(is, values, origin, found);
    }
    if is.tls() {
        tls(values, found);
    }
}

fn sasl(is: Protocol, values: &Values<'_>, origin: &dyn Fn(&str) -> Origin, found: &mut Vec<Finding>) {
    let names = ["sasl.mechanism", "sasl.mechanisms"];
    let (at, mechanism) = match names.into_iter().find_map(|n| Some((n, *values.get(n)?))) {
        Some((_, None)) => return, // it comes from elsewhere, and is looked at when it is known
        Some((name, Some(text))) => (name, Some(text)),
        None => ("security.protocol", None),
    };
    if let Some(trouble) = mechanism_of(mechanism, origin(at)) {
        found.push(Finding::refused(at, trouble));
        return;
    }
    for name in ["sasl.username", "sasl.password"] {
        if values.get(name).is_none_or(|v| *v == Some("")) {
            let what = format!("SASL PLAIN needs `{name}`, and it is not set");
            found.push(Finding::refused(at, Trouble::new(what, format!("set `{name}`"))));
        }
    }
    let unverified = values.get("enable.ssl.certificate.verification").copied().flatten();
    let unverified = unverified.is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "false" | "f" | "0"));
    if !is.tls() {
        let what = "SASL PLAIN without TLS: the password crosses the network for everyone to read";
        found.push(Finding::told(at, Trouble::new(what, "use a SASL_SSL listener")));
    } else if unverified {
        let what = "no certificate is checked: the password goes to whoever answers";
        let name = "enable.ssl.certificate.verification";
        found.push(Finding::told(name, Trouble::new(what, "set `ssl.ca.location` instead")));
    }
}

/// Why both planes can't authenticate by a mechanism, if so. `None`: none is set.
#[must_use]
pub fn mechanism_trouble(mechanism: Option<&str>) -> Option<Trouble> {
    mechanism_of(mechanism, Origin::Written)
}

fn mechanism_of(mechanism: Option<&str>, from: Origin) -> Option<Trouble> {
    let text = mechanism.unwrap_or("GSSAPI").trim();
    if text.eq_ignore_ascii_case("PLAIN") {
        return None;
    }
    let what = match OTHER_MECHANISMS.iter().find(|k| k.eq_ignore_ascii_case(text)) {
        Some(name) if mechanism.is_none() => {
            format!("no `sasl.mechanism` is set, which means {name}; this version speaks PLAIN only")
        }
        Some(name) => format!("SASL mechanism {name} is not supported yet by this version's control plane"),
        None if from == Origin::Elsewhere || text.chars().count() > 60 => {
            "what `sasl.mechanism` is set to is not a SASL mechanism".to_owned()
        }
        None => format!("`{}` is not a SASL mechanism", visible_name(text)),
    };
    let advice = "PLAIN works (`sasl.mechanism = \"PLAIN\"`, over SASL_SSL), and so do SSL with a client \
                  certificate and PLAINTEXT; SCRAM, OAUTHBEARER and GSSAPI (Kerberos) do not yet";
    Some(Trouble::new(what, advice))
}

fn tls(values: &Values<'_>, found: &mut Vec<Finding>) {
    let is_given = |name: &str| values.get(name).is_some_and(|v| v.is_none_or(|v| !v.is_empty()));
    let one_of = |names: &[&'static str]| names.iter().copied().find(|name| is_given(name));
    let certificate = one_of(&["ssl.certificate.location", "ssl.certificate.pem"]);
    let key = one_of(&["ssl.key.location", "ssl.key.pem"]);
    let store = one_of(&["ssl.keystore.location"]);
    match (certificate, key, store) {
        (Some(name), None, None) => {
            let trouble =
                Trouble::new("a client certificate is set without its private key", "set `ssl.key.location` too");
            found.push(Finding::refused(name, trouble));
        }
        (None, Some(name), None) => {
            let trouble =
                Trouble::new("a private key is set without its certificate", "set `ssl.certificate.location` too");
            found.push(Finding::refused(name, trouble));
        }
        (_, _, Some(name)) if !is_given("ssl.keystore.password") => {
            let trouble = Trouble::new("a key store is set without its password", "set `ssl.keystore.password` too");
            found.push(Finding::refused(name, trouble));
        }
        _ => {}
    }
    for both in [
        ["ssl.ca.location", "ssl.ca.pem"],
        ["ssl.certificate.location", "ssl.certificate.pem"],
        ["ssl.key.location", "ssl.key.pem"],
    ] {
        if both.into_iter().all(is_given) {
            let what = format!("`{}` and `{}` are both set", both[0], both[1]);
            found.push(Finding::refused(both[1], Trouble::new(what, "leave one of them out")));
        }
    }
}

#[cfg(test)]
mod tests;
