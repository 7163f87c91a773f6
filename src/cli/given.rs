//! The client properties that `init` is given: files in Java's or librdkafka's words, and `-X`, which goes before them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::Error;
use super::args::InitArgs;
use crate::base::sanitise::visible_path;
use crate::base::{Side, Sides, Trouble};
use crate::plan::client_config::{ClientConfig, MAX_FILE, read_store_format, translate_config};
use crate::plan::secrets::{ClientValue, Secret};
use crate::plan::{Plan, PlanError, ProblemSeverity, Problems, properties};

/// What was given for both clusters, and for each of them.
pub(super) struct GivenProperties {
    shared_file: ClientConfig,
    own_file: Sides<ClientConfig>,
    shared: BTreeMap<String, ClientValue>,
    own: Sides<BTreeMap<String, ClientValue>>,
}

impl GivenProperties {
    /// Reads the files and the arguments. What is not taken over of a file is said on standard error.
    ///
    /// # Errors
    /// A file that can't be read or meant, an argument without `=`.
    pub(super) fn read(args: &InitArgs) -> Result<Self, Error> {
        let file = |path: &Option<std::path::PathBuf>| path.as_deref().map(read_config).transpose();
        Ok(Self {
            shared_file: file(&args.client_config)?.unwrap_or_default(),
            own_file: Sides {
                blue: file(&args.blue_client_config)?.unwrap_or_default(),
                green: file(&args.green_client_config)?.unwrap_or_default(),
            },
            shared: parse_properties(&args.property)?,
            own: Sides { blue: parse_properties(&args.blue_property)?, green: parse_properties(&args.green_property)? },
        })
    }

    /// Where a side is: what the argument says, or the side's own file. A file for both names one cluster at most.
    ///
    /// # Errors
    /// Neither does.
    pub(super) fn bootstrap(&self, args: &InitArgs, side: Side) -> Result<String, Error> {
        let argument = match side {
            Side::Blue => &args.blue,
            Side::Green => &args.green,
        };
        argument.clone().or_else(|| self.own_file[side].bootstrap.clone()).ok_or_else(|| {
            Error::Usage(Trouble::new(
                format!("no address of {side} is given, and its file of client properties has no bootstrap.servers"),
                format!("give it with --{side} HOST:PORT"),
            ))
        })
    }

    /// The properties of a side: its arguments go before those for both, and they before files, each the same way.
    pub(super) fn client(&self, side: Side) -> BTreeMap<String, ClientValue> {
        let mut all = self.shared_file.client.clone();
        for over in [&self.own_file[side].client, &self.shared, &self.own[side]] {
            // Another name of the same property would stand beside it, and which one counts is not said.
            let names =
                |name: &String| over.keys().any(|n| properties::canonical_name(n) == properties::canonical_name(name));
            all.retain(|name, _| !names(name));
            all.extend(over.clone());
        }
        all
    }

    /// Refuses what `plan check` would refuse of these properties, and says on standard error what it would warn of, before
    /// anybody is connected to.
    ///
    /// # Errors
    /// What no client can be made of.
    pub(super) fn check(&self, args: &InitArgs, plan: &Plan) -> Result<(), Error> {
        let mut problems: Vec<PlanError> = Vec::new();
        for side in Side::BOTH {
            let values = plan.clusters[side].client.iter().map(|(name, value)| match value {
                ClientValue::Plain(text) => (name.as_str(), Some(text.as_str())),
                ClientValue::Secret(_) => (name.as_str(), None),
            });
            for finding in properties::check_properties(&values.collect()) {
                let problem = PlanError {
                    severity: if finding.refused { ProblemSeverity::Error } else { ProblemSeverity::Warning },
                    ..PlanError::without_place(
                        self.source_of(args, side, &finding.name),
                        finding.trouble.what,
                        Some(finding.trouble.advice),
                    )
                };
                // What is given for both clusters is said once.
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        if problems.iter().any(|p| p.severity == ProblemSeverity::Error) {
            return Err(Error::Plan(Problems(problems)));
        }
        problems.iter().for_each(|p| say!("{p}"));
        Ok(())
    }

    /// The argument, or the file, that a property of a side comes from.
    fn source_of(&self, args: &InitArgs, side: Side, name: &str) -> String {
        let (own, own_file) = match side {
            Side::Blue => ("--blue-property", &args.blue_client_config),
            Side::Green => ("--green-property", &args.green_client_config),
        };
        let file = |path: &Option<std::path::PathBuf>| path.as_deref().map(visible_path);
        let found = match name {
            n if self.own[side].contains_key(n) => None,
            n if self.shared.contains_key(n) => Some("-X".to_owned()),
            n if self.own_file[side].client.contains_key(n) => file(own_file),
            n if self.shared_file.client.contains_key(n) => file(&args.client_config),
            _ => None,
        };
        found.unwrap_or_else(|| own.to_owned())
    }
}

/// One file, and on standard error what is not taken over of it.
fn read_config(path: &Path) -> Result<ClientConfig, Error> {
    let name = visible_path(path);
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    read.map_err(|e| {
        let advice = "check the path and its permissions";
        Error::Usage(Trouble::new(format!("the client properties in {name} can't be read: {e}"), advice))
    })?;
    let config = translate_config(&name, &text, &read_store_format).map_err(Error::Plan)?;
    for (property, why) in &config.left_out {
        say!("{name}: `{property}` is left out: {why}");
    }
    let secret = config.client.values().any(|v| matches!(v, ClientValue::Secret(Secret::Inline(_))));
    if let Some(doubt) = Secret::File(path.to_owned()).describe_doubt().filter(|_| secret) {
        say!("{name} holds a secret: {doubt}");
    }
    Ok(config)
}

fn parse_properties(arguments: &[String]) -> Result<BTreeMap<String, ClientValue>, Error> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            // not repeated: what stands there may be a secret without its name
            let what = "a client property (-X, --blue-property, --green-property) has no =";
            Error::Usage(Trouble::new(what, "write NAME=VALUE, e.g. security.protocol=SASL_SSL"))
        })?;
        let name = name.trim();
        Ok((name.to_owned(), ClientValue::of_typed(name, value.to_owned())))
    };
    arguments.iter().map(split).collect()
}
