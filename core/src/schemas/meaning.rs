//! Whether two schemas mean the same: by canonical forms, and by those of what they reference. Three-valued: what has no
//! form and differs in text is unknown, never the same.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::avro::canonicalise_avro;
use super::content::{RegistryContent, SchemaFormat, SchemaReference, SchemaText};
use super::forms::CanonicalForms;
use super::json_schema::canonicalise_json_schema;
use super::protobuf::canonicalise_protobuf;
use super::subject::SubjectVersion;
use crate::base::Sides;

/// How many references deep schemas are compared: a hostile registry must not take the stack.
pub(super) const DEEPEST: usize = 64;

/// In which layer two schemas differ; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum MeaningLayer {
    /// Bytes are taken apart in another way: a consumer fails, or reads nonsense.
    #[strum(serialize = "bytes are read in another way")]
    Encoding,
    /// The same bytes are other values: names, defaults, aliases, a decimal's scale.
    #[strum(serialize = "the same bytes are other values")]
    Reading,
    /// What is for people and generators: `doc`, options, properties of its own.
    #[strum(serialize = "only what is for people and generators differs")]
    Annotation,
}

/// Whether two schemas mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeaningVerdict {
    /// They do.
    Same,
    /// They do not; in which layer at the gravest.
    Different(MeaningLayer),
    /// It was not found out, and why, in words.
    Unknown(String),
}

impl MeaningVerdict {
    /// The graver of two. An unknown may hide whatever is graver than an annotation.
    fn worse_of(self, other: Self) -> Self {
        let rank = |v: &Self| match v {
            MeaningVerdict::Different(MeaningLayer::Encoding) => 4,
            MeaningVerdict::Different(MeaningLayer::Reading) => 3,
            MeaningVerdict::Unknown(_) => 2,
            MeaningVerdict::Different(MeaningLayer::Annotation) => 1,
            MeaningVerdict::Same => 0,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Two schemas by their texts. What they reference is compared where both registries are known ([`super::compare_contents`]).
#[must_use]
pub fn compare_schemas(one: &SchemaText, other: &SchemaText) -> MeaningVerdict {
    compare_forms(one, &canonicalise_schema(one), other, &canonicalise_schema(other))
}

pub(super) type FormsOrWhy = Result<CanonicalForms, String>;

pub(super) fn canonicalise_schema(schema: &SchemaText) -> FormsOrWhy {
    match &schema.format {
        SchemaFormat::Avro => canonicalise_avro(&schema.text, &schema.references),
        SchemaFormat::Json => canonicalise_json_schema(&schema.text),
        SchemaFormat::Protobuf => canonicalise_protobuf(&schema.text),
        SchemaFormat::Other(_) => Err("its language is not known here".to_owned()),
    }
}

fn compare_forms(one: &SchemaText, a: &FormsOrWhy, other: &SchemaText, b: &FormsOrWhy) -> MeaningVerdict {
    if one.format != other.format {
        return MeaningVerdict::Different(MeaningLayer::Encoding);
    }
    if one.text == other.text {
        return MeaningVerdict::Same;
    }
    match (a, b) {
        (Ok(a), Ok(b)) if a.whole == b.whole => MeaningVerdict::Same,
        (Ok(a), Ok(b)) if a.certain == b.certain => {
            let why = "they differ in what can be written in several ways (the order of a list, the spelling of an \
                       imported type, the inside of an option)";
            MeaningVerdict::Unknown(why.to_owned())
        }
        (Ok(a), Ok(b)) if a.encoding != b.encoding => MeaningVerdict::Different(MeaningLayer::Encoding),
        (Ok(a), Ok(b)) if a.reading != b.reading => MeaningVerdict::Different(MeaningLayer::Reading),
        (Ok(_), Ok(_)) => MeaningVerdict::Different(MeaningLayer::Annotation),
        (Err(why), _) | (_, Err(why)) => {
            MeaningVerdict::Unknown(format!("their texts differ, and their meaning can't be compared: {why}"))
        }
    }
}

/// Compares schemas of two registries with all that they reference, each text taken apart once.
pub(super) struct MeaningBook<'a> {
    contents: Sides<&'a RegistryContent>,
    forms: HashMap<u128, FormsOrWhy>,
    compared: HashMap<(SubjectVersion, SubjectVersion), MeaningVerdict>,
    /// How many references deep it is.
    depth: usize,
}

impl<'a> MeaningBook<'a> {
    pub(super) fn new(contents: Sides<&'a RegistryContent>) -> Self {
        Self { contents, forms: HashMap::new(), compared: HashMap::new(), depth: 0 }
    }

    /// A schema of blue and one of green, each in its context.
    pub(super) fn compare_deeply(&mut self, blue: (&str, &SchemaText), green: (&str, &SchemaText)) -> MeaningVerdict {
        let (a, b) = (self.forms_of(blue.1), self.forms_of(green.1));
        let own = compare_forms(blue.1, &a, green.1, &b);
        let (ours, theirs) = (by_name_of(blue.1), by_name_of(green.1));
        if !ours.keys().eq(theirs.keys()) {
            return own.worse_of(MeaningVerdict::Unknown("they reference schemas by different names".to_owned()));
        }
        let mut worst = own;
        for (name, ours) in ours {
            let at = Sides {
                blue: self.contents.blue.resolve_reference(blue.0, ours),
                green: self.contents.green.resolve_reference(green.0, theirs[name]),
            };
            worst = worst.worse_of(match (at.blue, at.green) {
                (Some(blue), Some(green)) => self.compare_versions(&blue, &green),
                _ => MeaningVerdict::Unknown("a schema that they reference is not there".to_owned()),
            });
        }
        worst
    }

    /// A version of blue and one of green.
    pub(super) fn compare_versions(&mut self, blue: &SubjectVersion, green: &SubjectVersion) -> MeaningVerdict {
        let key = (blue.clone(), green.clone());
        if let Some(known) = self.compared.get(&key) {
            return known.clone();
        }
        if self.depth >= DEEPEST {
            return MeaningVerdict::Unknown("references are nested too deep".to_owned());
        }
        // Until it is known: a schema that leads back to itself was never registered in order.
        let circle = MeaningVerdict::Unknown("schemas reference each other in a circle".to_owned());
        self.compared.insert(key.clone(), circle);
        let Sides { blue: ours, green: theirs } = self.contents;
        let stored = |content: &'a RegistryContent, at: &SubjectVersion| content.find_version(at)?.content.as_told();
        let verdict = match (stored(ours, blue), stored(theirs, green)) {
            (Some(a), Some(b)) => {
                let contexts = (ours.context_of(&blue.subject), theirs.context_of(&green.subject));
                self.depth += 1;
                let verdict = self.compare_deeply((contexts.0, &a.schema), (contexts.1, &b.schema));
                self.depth -= 1;
                verdict
            }
            _ => MeaningVerdict::Unknown("it could not be read on both sides".to_owned()),
        };
        self.compared.insert(key, verdict.clone());
        verdict
    }

    /// All that a schema says, as far as it has a form, with what it references: equal for what a registry takes as one.
    pub(super) fn hash_schema(&mut self, schema: &SchemaText) -> u128 {
        let own = self.forms_of(schema).map_or_else(|_| xxh3_128(schema.text.as_bytes()), |forms| forms.whole);
        let mut references = schema.references.clone();
        references.sort();
        let mut hash = Xxh3::new();
        hash.update(&own.to_le_bytes());
        // Names of references hold no line break that a text could be mistaken by: `Debug` escapes it.
        hash.update(format!("{:?} {references:?}", schema.format).as_bytes());
        hash.digest128()
    }

    fn forms_of(&mut self, schema: &SchemaText) -> FormsOrWhy {
        let key = hash_source(schema);
        self.forms.entry(key).or_insert_with(|| canonicalise_schema(schema)).clone()
    }
}

pub(super) fn by_name_of(schema: &SchemaText) -> BTreeMap<&str, &SchemaReference> {
    schema.references.iter().map(|r| (r.name.as_str(), r)).collect()
}

/// All that the forms of a schema depend on.
fn hash_source(schema: &SchemaText) -> u128 {
    let mut hash = Xxh3::new();
    let names = schema.references.iter().map(|r| r.name.as_str());
    for part in [String::from(schema.format.clone()).as_str(), &schema.text].into_iter().chain(names) {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.digest128()
}
