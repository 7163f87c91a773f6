//! The flag file as the demo's services read it: flagd's JSON, looked at five times a second, as a service with a
//! flag client would.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::spec::EstateSpec;
use crate::base::{Side, lock_unpoisoned};

/// The flags as last read.
#[derive(Debug)]
pub(crate) struct FlagFile {
    path: PathBuf,
    states: Mutex<BTreeMap<String, String>>,
}

impl FlagFile {
    /// Reads a flag file.
    ///
    /// # Errors
    /// It can't be read, or is not flagd's format.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Self { path: path.to_owned(), states: Mutex::default() };
        let states = file.read()?;
        // Only whole maps are put in: one that a panicking thread left is as good as any.
        *lock_unpoisoned(&file.states) = states;
        Ok(file)
    }

    /// Looks again. While the file can't be read the last states stand, as they do in a flag client.
    pub fn refresh(&self) {
        if let Ok(states) = self.read() {
            *lock_unpoisoned(&self.states) = states;
        }
    }

    /// Whether a flag or switch includes a cluster: `dual` and `both` include both.
    #[must_use]
    pub(crate) fn includes(&self, key: &str, side: Side) -> bool {
        let states = lock_unpoisoned(&self.states);
        states.get(key).is_some_and(|s| s == side.name() || s == "dual" || s == "both")
    }

    fn read(&self) -> io::Result<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(&self.path)?;
        // people comment flag files
        let parsed = jsonc_parser::cst::CstRootNode::parse(&text, &jsonc_parser::ParseOptions::default());
        let parsed = parsed.ok().and_then(|root| root.to_serde_value());
        let value = parsed.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let flags = value.get("flags").and_then(Value::as_object);
        let flags = flags.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(flags.iter().filter_map(|(key, flag)| Some((key.clone(), default_variant_value(flag)?))).collect())
    }
}

/// The value of a flag's default variant.
fn default_variant_value(flag: &Value) -> Option<String> {
    // flagd leaves a disabled flag to its caller's default: off, for these services.
    if flag.get("state").and_then(Value::as_str) == Some("DISABLED") {
        return None;
    }
    let variant = flag.get("defaultVariant")?.as_str()?;
    Some(flag.get("variants")?.get(variant)?.as_str()?.to_owned())
}

/// Writes the flag file of an estate, as it stands when the demo begins.
///
/// # Errors
/// The directory can't be written.
pub fn write_flags(path: &Path, estate: &EstateSpec) -> io::Result<()> {
    let mut flags = Map::new();
    for (key, state, states) in estate.list_flags() {
        let variants: Map<String, Value> = states.iter().map(|s| ((*s).to_owned(), json!(s))).collect();
        flags.insert(key, json!({ "state": "ENABLED", "variants": variants, "defaultVariant": state }));
    }
    let file = json!({ "$schema": "https://flagd.dev/schema/v0/flags.json", "flags": flags });
    std::fs::write(path, format!("{file:#}\n"))
}

/// Sets one flag's variant, by replacing the file: what an operator's own hand would do in a test.
///
/// # Errors
/// The file can't be read or written, or has no such flag.
pub fn set_flag(path: &Path, key: &str, variant: &str) -> io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let mut value: Value = serde_json::from_str(&text)?;
    let flag = value.get_mut("flags").and_then(|f| f.get_mut(key)).and_then(Value::as_object_mut);
    let flag = flag.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    flag.insert("defaultVariant".to_owned(), json!(variant));
    // Renamed into place: services read the old file or the new one, never half of it.
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, format!("{value:#}\n"))?;
    std::fs::rename(beside, path)
}
