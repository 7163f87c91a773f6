//! Client properties: which names there are, what their values must be, and which are not a plan's to set. Everything
//! that can be told without a network is told here, for the plan, for `init -X`, and for both planes before they
//! connect: a name that librdkafka does not know would be passed over by the control plane, which then connects in
//! plaintext, and be refused by the data plane, with the value in its error.
//!
//! The names are librdkafka's. No finding repeats the value of a property that is, or may be, a secret; nor one that
//! comes from a variable or a file, where another secret than was meant may stand.

mod fate;
mod names;
mod sasl;
mod tls;

use std::collections::{BTreeMap, BTreeSet};

use super::problem::find_nearest;
use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::{visible_name, visible_path};
use fate::{PropertyFate, fate_of};
pub(crate) use sasl::{SaslMechanism, parse_mechanism};
pub(crate) use tls::warn_of_http;

/// What the value of a property must be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ValueKind {
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
/// Whether certificates are checked at all.
pub(crate) const VERIFICATION: &str = "enable.ssl.certificate.verification";
/// Whether the names in certificates are checked.
pub(crate) const ALGORITHM: &str = "ssl.endpoint.identification.algorithm";
/// The properties that TLS rests on, to brokers and over HTTP.
pub(crate) const TLS_NAMES: &[&str] = &[
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    VERIFICATION,
    ALGORITHM,
];

/// Values by property name; `None` where a value is a secret, or is not known here.
pub(crate) type PropertyValues<'a> = BTreeMap<&'a str, Option<&'a str>>;

/// Where a value comes from, and so whether a finding may repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueOrigin {
    /// It stands in the plan, or in an argument, under the name of a property that is no secret.
    Written,
    /// It comes from a variable or a file.
    Elsewhere,
}

/// How a connection is protected (`security.protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SecurityProtocol {
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

impl SecurityProtocol {
    /// All there are.
    pub const ALL: [SecurityProtocol; 4] = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];

    /// The one of this name, whatever its case: the same reading for the plan's check and for both planes.
    #[must_use]
    pub(crate) fn from_name(text: &str) -> Option<SecurityProtocol> {
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text))
    }

    /// Whether TLS is used.
    #[must_use]
    pub(crate) fn uses_tls(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }

    /// Whether SASL is used.
    #[must_use]
    pub(crate) fn uses_sasl(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }

    /// As written in properties.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// Something about one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PropertyFinding {
    /// The property.
    pub name: String,
    /// Whether nothing can be connected to with it; otherwise a person should know.
    pub refused: bool,
    /// What is wrong, and what to write instead.
    pub trouble: Trouble,
}

impl PropertyFinding {
    fn new_refusal(name: &str, trouble: Trouble) -> Self {
        Self { name: name.to_owned(), refused: true, trouble }
    }

    fn new_warning(name: &str, trouble: Trouble) -> Self {
        Self { name: name.to_owned(), refused: false, trouble }
    }
}

/// Everything that can be told about the properties of one cluster's clients without a network. What is given as a file
/// is not looked at: see [`file_trouble`].
#[must_use]
pub(crate) fn check_properties(values: &PropertyValues<'_>) -> Vec<PropertyFinding> {
    check_with(values, &BTreeSet::new())
}

/// As [`check_properties`], where the values of some come from `elsewhere` (a variable, a file): no finding repeats those.
#[must_use]
pub(crate) fn check_with(values: &PropertyValues<'_>, elsewhere: &BTreeSet<&str>) -> Vec<PropertyFinding> {
    let origin = |name: &str| if elsewhere.contains(name) { ValueOrigin::Elsewhere } else { ValueOrigin::Written };
    let mut found = Vec::new();
    for (&name, value) in values {
        match name_trouble(name) {
            Some(trouble) => found.push(PropertyFinding::new_refusal(name, trouble)),
            None => check_known_property(name, *value, origin(name), &mut found),
        }
    }
    check_aliases(values, &mut found);
    if let Some(protocol) = protocol_of(values) {
        check_security(protocol, values, &origin, &mut found);
    }
    found
}

/// What makes a value that was just taken from a variable or a file unusable, its file included, without repeating it.
#[must_use]
pub(super) fn check_elsewhere(name: &str, value: &str) -> Option<Trouble> {
    let row = find_property(name)?;
    let mechanism = || match canonical_name(name) {
        "sasl.mechanisms" => sasl::parse_mechanism_from(Some(value), ValueOrigin::Elsewhere).err(),
        _ => None,
    };
    let file = || is_used(name).then(|| check_file_from(name, value, ValueOrigin::Elsewhere)).flatten();
    property_value_trouble(row, value, ValueOrigin::Elsewhere).or_else(mechanism).or_else(file)
}

/// The properties that take one of some words, with these.
#[cfg(test)]
pub(crate) fn list_word_properties() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    names::KNOWN.iter().filter_map(|row| match row.kind {
        ValueKind::Words(words) => Some((row.name, words)),
        _ => None,
    })
}

/// Properties as they are meant: an empty value is as good as none, as in the Java client, whose word for "no check of
/// host names" it is. One that its property does not take stays: [`check_properties`] refuses it.
#[must_use]
pub(crate) fn normalise_values(mut values: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if let Some(algorithm) = values.get_mut(ALGORITHM).filter(|a| a.is_empty()) {
        "none".clone_into(algorithm);
    }
    let empty = |name: &str| {
        find_property(name).is_some_and(|row| property_value_trouble(row, "", ValueOrigin::Written).is_none())
    };
    values.retain(|name, value| !(value.is_empty() && empty(name.as_str())));
    values
}

/// A value that its own property does not take; for tables of properties that hold only some of them.
#[must_use]
pub(crate) fn check_value(name: &str, value: &str) -> Option<Trouble> {
    let row = find_property(name)?;
    property_value_trouble(row, value, ValueOrigin::Written)
}

/// The file that a property names and that can't be read here, if so. No pipe is opened: that waits for who writes to it,
/// and takes what it holds. Of TLS one is refused: each client reads its files for itself.
#[must_use]
pub(crate) fn file_trouble(name: &str, value: &str) -> Option<Trouble> {
    check_file_from(name, value, ValueOrigin::Written)
}

fn check_file_from(name: &str, value: &str, from: ValueOrigin) -> Option<Trouble> {
    let row = find_property(name)?;
    let folder = row.kind == ValueKind::FileOrFolder;
    if !(folder || row.kind == ValueKind::File) || value.is_empty() || (folder && value == "probe") {
        return None;
    }
    let why = match std::fs::metadata(value) {
        Ok(meta) if meta.is_dir() && folder => return None,
        Ok(meta) if meta.is_dir() => "it is a directory".to_owned(),
        Ok(meta) if !meta.is_file() && name.starts_with("ssl.") => "it is no ordinary file".to_owned(),
        Ok(meta) if !meta.is_file() => return None,
        Ok(_) => match std::fs::File::open(value) {
            Ok(_) => return None,
            Err(e) => e.to_string(),
        },
        Err(e) => e.to_string(),
    };
    let file = match from {
        ValueOrigin::Written => visible_path(std::path::Path::new(value)),
        ValueOrigin::Elsewhere => "the file that it names".to_owned(),
    };
    let what = format!("`{name}`: {file} can't be read: {why}");
    Some(Trouble::new(what, "check the path and its permissions (relative paths are relative to the plan)"))
}

/// The name that librdkafka itself has for a property.
#[must_use]
pub(crate) fn canonical_name(name: &str) -> &str {
    find_property(name).and_then(|r| r.alias).unwrap_or(name)
}

/// Whether a property reaches librdkafka as the plan has it: it knows it, and cutover does not set it itself.
#[must_use]
pub(crate) fn is_used(name: &str) -> bool {
    find_property(name).is_some() && fate_of(canonical_name(name)).is_none()
}

/// Whether a property's value is a secret: any name with `password`, `secret`, `passphrase` or a private key in it, and
/// all of OAUTHBEARER, whose free-form values carry tokens.
#[must_use]
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    redact::looks_secret(&name)
        || matches!(name.as_str(), "ssl.key.pem" | "ssl.keystore.key" | "basic.auth.user.info")
        || (name.starts_with("sasl.oauthbearer.") && !name.ends_with(".url") && !name.ends_with(".file"))
}

/// Whether a property is known to hold no secret, wherever its value comes from.
#[must_use]
pub(crate) fn is_public(name: &str) -> bool {
    find_property(name).is_some() && !is_secret(name)
}

/// Whether a value is one of those that its property has words for (a protocol, a number, a mechanism): whoever wrote it
/// gave nothing away. A property that takes any text foresees none.
#[must_use]
pub(super) fn is_foreseen(name: &str, value: &str) -> bool {
    let Some(row) = find_property(name) else { return false };
    let mechanism = || canonical_name(name) == "sasl.mechanisms" && sasl::is_mechanism(value);
    let free = matches!(row.kind, ValueKind::Text | ValueKind::File | ValueKind::FileOrFolder);
    value.is_empty() || mechanism() || (!free && property_value_trouble(row, value, ValueOrigin::Elsewhere).is_none())
}

/// Whether what stands under a name that nobody knows is a secret as far as one can tell: the name is nearly that of one.
#[must_use]
pub(crate) fn means_secret(name: &str) -> bool {
    is_secret(name) || guess_meant_name(name).is_some_and(is_secret)
}

/// Whether a property has this name.
#[must_use]
pub(crate) fn is_known(name: &str) -> bool {
    find_property(name).is_some()
}

/// Why a property of a file that was written for another client is no part of a connection of cutover's, and can be left
/// out: it is the Java client's alone, or has no effect here.
#[must_use]
pub(super) fn explain_left_out(name: &str) -> Option<String> {
    if let Some((_, advice)) = names::JAVA.iter().find(|(java, _)| *java == name) {
        return Some(advice.trim_end_matches(": leave it out").to_owned());
    }
    find_property(name)?;
    match fate_of(canonical_name(name)) {
        Some(PropertyFate::Ignored(why)) => Some(why.to_owned()),
        Some(PropertyFate::Refused(_) | PropertyFate::Only(..)) | None => None,
    }
}

/// Whether a property names a file (or a folder).
#[must_use]
pub(super) fn names_file(name: &str) -> bool {
    find_property(name).is_some_and(|row| matches!(row.kind, ValueKind::File | ValueKind::FileOrFolder))
}

/// Whether names of properties begin with this one and a dot.
#[must_use]
pub(crate) fn is_prefix(name: &str) -> bool {
    names::KNOWN.iter().any(|row| row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

fn find_property(name: &str) -> Option<&'static names::KnownProperty> {
    let at = names::KNOWN.binary_search_by(|row| row.name.cmp(name)).ok()?;
    names::KNOWN.get(at)
}

/// What is wrong with a property's name, if anything.
fn name_trouble(name: &str) -> Option<Trouble> {
    if let Some((_, advice)) = names::JAVA.iter().find(|(java, _)| *java == name) {
        return Some(Trouble::new(format!("`{name}` is a property of the Java client"), *advice));
    }
    if canonical_name(name) == "metadata.broker.list" {
        return Some(Trouble::new(
            format!("`{name}` is set among the client properties"),
            "write the addresses as `bootstrap` of the cluster",
        ));
    }
    if find_property(name).is_some() {
        return None;
    }
    let advice = match guess_meant_name(name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "librdkafka's CONFIGURATION.md lists the names".into(),
    };
    let shown = if name.chars().count() > 60 { "(a very long name)".to_owned() } else { visible_name(name) };
    Some(Trouble::new(format!("`{shown}` is not a client property"), advice))
}

/// The property that somebody meant who wrote this.
pub(super) fn guess_meant_name(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase().replace(['_', '-'], ".");
    let all = || names::KNOWN.iter().map(|row| row.name).chain(names::JAVA.iter().map(|(java, _)| *java));
    // `consumer.security.protocol`, `producer.override.acks`: what follows a prefix
    let behind = name.match_indices('.').map(|(at, _)| &name[at + 1..]).find_map(|rest| all().find(|n| *n == rest));
    all().find(|n| *n == name).or(behind).or_else(|| find_nearest(&name, all()))
}

/// What cutover does with a property that it knows, and whether its value can be one.
fn check_known_property(name: &str, value: Option<&str>, from: ValueOrigin, found: &mut Vec<PropertyFinding>) {
    let Some(row) = find_property(name) else { return };
    match fate_of(canonical_name(name)) {
        Some(PropertyFate::Refused(why)) => {
            found.push(PropertyFinding::new_refusal(name, Trouble::new(format!("`{name}`: {why}"), "leave it out")));
            return;
        }
        Some(PropertyFate::Only(word, why)) if value.is_some_and(|v| !v.trim().eq_ignore_ascii_case(word)) => {
            found.push(PropertyFinding::new_refusal(name, Trouble::new(format!("`{name}`: {why}"), "leave it out")));
            return;
        }
        Some(PropertyFate::Ignored(why)) => {
            found.push(PropertyFinding::new_warning(
                name,
                Trouble::new(format!("`{name}` has no effect: {why}"), "leave it out"),
            ));
        }
        Some(PropertyFate::Only(..)) | None => {}
    }
    if let Some(trouble) = value.and_then(|value| property_value_trouble(row, value, from)) {
        found.push(PropertyFinding::new_refusal(name, trouble));
    }
}

/// What is wrong with a value, if anything.
fn property_value_trouble(row: &names::KnownProperty, value: &str, from: ValueOrigin) -> Option<Trouble> {
    if value.contains('\0') {
        return Some(nul_trouble(row.name));
    }
    let hidden = from == ValueOrigin::Elsewhere || is_secret(row.name);
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
        ValueKind::Text | ValueKind::File | ValueKind::FileOrFolder => None,
        ValueKind::Bool => {
            let lower = value.to_ascii_lowercase();
            let taken = ["true", "t", "1", "false", "f", "0"].contains(&lower.as_str());
            (!taken).then(|| bad("true or false".into(), find_nearest(value, ["true", "false"]))).flatten()
        }
        ValueKind::Whole(least, most) => {
            let most = if row.name == "socket.connection.setup.timeout.ms" { most.min(SETUP_MOST) } else { most };
            let acks = row.name.ends_with("acks") && value.eq_ignore_ascii_case("all");
            let fits = acks || value.parse::<i64>().is_ok_and(|n| (least..=most).contains(&n));
            (!fits).then(|| bad(format!("a whole number from {least} to {most}"), None)).flatten()
        }
        ValueKind::Number(least, most) => {
            let fits = value.parse::<f64>().is_ok_and(|n| (least..=most).contains(&n));
            (!fits).then(|| bad(format!("a number from {least} to {most}"), None)).flatten()
        }
        ValueKind::Words(words) => {
            let fits = words.iter().any(|w| w.eq_ignore_ascii_case(value))
                // librdkafka has a shorter word for the empty one: no check of host names
                || (row.name == ALGORITHM && value.is_empty());
            let words: Vec<String> = words.iter().map(|w| spell_word(row.name, w)).collect();
            let near = find_nearest(value, words.iter().map(String::as_str));
            (!fits).then(|| bad(format!("one of {}", words.join(", ")), near)).flatten()
        }
        ValueKind::List(words) => {
            let mut all = value.split(',').map(str::trim).filter(|w| !w.is_empty());
            let odd = all.find(|w| !words.iter().any(|known| known.eq_ignore_ascii_case(w)));
            odd.and_then(|odd| bad(format!("some of {}", words.join(",")), find_nearest(odd, words.iter().copied())))
        }
    }
}

/// A value with a NUL in it, which no client takes: it is not repeated, whatever it is.
#[must_use]
pub(crate) fn nul_trouble(name: &str) -> Trouble {
    let what = format!("`{}` holds a NUL character", visible_name(name));
    Trouble::new(what, "check where its value comes from")
}

/// A word as people write it: protocols stand in capitals.
fn spell_word(name: &str, word: &str) -> String {
    if name == "security.protocol" { word.to_ascii_uppercase() } else { word.to_owned() }
}

/// One property under two of its names: which of the two librdkafka takes is chance.
fn check_aliases(values: &PropertyValues<'_>, found: &mut Vec<PropertyFinding>) {
    for name in values.keys().filter(|name| canonical_name(name) != **name) {
        let one = canonical_name(name);
        let other = values
            .keys()
            .find(|k| **k != *name && canonical_name(k) == one && (canonical_name(name) == **k || **k < *name));
        if let Some(other) = other {
            let what = format!("`{name}` and `{other}` are two names of one property");
            found.push(PropertyFinding::new_refusal(name, Trouble::new(what, "leave one of them out")));
        }
    }
}

/// `security.protocol`, where it is known and one.
fn protocol_of(values: &PropertyValues<'_>) -> Option<SecurityProtocol> {
    match values.get("security.protocol") {
        None => Some(SecurityProtocol::default()),
        Some(value) => SecurityProtocol::from_name((*value)?),
    }
}

/// What does not fit together, so that a connection would be another one than somebody thinks, or none.
fn check_security(
    is: SecurityProtocol,
    values: &PropertyValues<'_>,
    origin: &dyn Fn(&str) -> ValueOrigin,
    found: &mut Vec<PropertyFinding>,
) {
    let given = |name: &str| values.get(name).is_some_and(|v| v.is_none_or(|v| !v.is_empty()));
    let first =
        |prefix: &str| values.keys().copied().find(|k| k.starts_with(prefix) && find_property(k).is_some() && given(k));
    let protocol = is.name();
    let set = if given("security.protocol") { "" } else { ", as none is set" };
    if let Some(name) = first("sasl.").filter(|_| !is.uses_sasl()) {
        let what =
            format!("`{name}` is set, and `security.protocol` is {protocol}{set}: nobody would be authenticated");
        let advice = "write \"security.protocol\" = \"SASL_SSL\", or leave `sasl.*` out";
        found.push(PropertyFinding::new_refusal(name, Trouble::new(what, advice)));
    }
    if let Some(name) = first("ssl.").filter(|_| !is.uses_tls()) {
        let what = format!("`{name}` is set, and `security.protocol` is {protocol}{set}: nothing would be encrypted");
        let advice = "write \"security.protocol\" = \"SSL\" or \"SASL_SSL\", or leave `ssl.*` out";
        found.push(PropertyFinding::new_warning(name, Trouble::new(what, advice)));
    }
    if is.uses_sasl() {
        sasl::check_sasl(is, values, origin, found);
    }
    if is.uses_tls() {
        tls::check_tls(is, values, found);
    }
}

#[cfg(test)]
mod tests;
