//! What an id that a record carries means, in a form that is the same on every registry: what two records are compared by
//! whose producers asked different registries.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::content::{RegistryAnswer, RegistryContent, SchemaText};
use super::meaning::{DEEPEST, by_name_of, canonicalise_schema};
use super::subject::{SchemaId, SubjectVersion};
use crate::base::Side;

/// What one registry says of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdMeaning {
    /// A schema, with all that it references. Equal identities: bytes are read as the same values.
    Told {
        /// By what decides on values ([`super::MeaningLayer::Reading`]).
        identity: u128,
        /// Whether all of it has a canonical form. Without one the text counts: another text may still mean the same.
        formed: bool,
    },
    /// There is no such id.
    Absent,
    /// There is, and what it means can't be told; why, in words.
    Untold(String),
}

impl IdMeaning {
    /// Whether it stands whatever the other registry says of the same id.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        matches!(self, IdMeaning::Told { formed: true, .. })
    }
}

/// What takes the place of an id in a record's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdPlace {
    /// What it means.
    Meaning(u128),
    /// Its bytes: neither registry tells what it means, so equal bytes are all there is to go by.
    AsItIs,
    /// Nothing: the same record could have two identities, and would look lost on one side and extra on the other. Why, in
    /// words.
    Doubtful(String),
}

/// What takes the place of an id that a record of `side` carries, by what that side's registry says of it and what the other
/// one says of the same number. The same bytes never get two identities but where both registries tell two meanings.
#[must_use]
pub fn place_id(id: u32, side: Side, own: &IdMeaning, other: &IdMeaning) -> IdPlace {
    use IdMeaning as M;
    let doubt = |words: String| IdPlace::Doubtful(format!("records of {side} carry schema id {id}, {words}"));
    match (own, other) {
        (M::Told { identity, formed: true }, _)
        | (M::Told { identity, .. }, M::Absent | M::Told { formed: true, .. }) => IdPlace::Meaning(*identity),
        (M::Told { identity, .. }, M::Told { identity: same, .. }) if identity == same => IdPlace::Meaning(*identity),
        (M::Told { .. }, _) => doubt(format!("whose schema has no form that {}'s could be compared by", side.other())),
        (M::Absent, M::Absent) | (M::Untold(_), M::Untold(_)) => IdPlace::AsItIs,
        (M::Absent, _) => doubt(format!("which its registry does not know, and {}'s does", side.other())),
        (M::Untold(why), _) => doubt(format!("of which its registry does not tell all: {why}")),
    }
}

/// What an id means, by what was read of a registry: the id itself, and all that its schema references.
#[must_use]
pub fn identify_id(content: &RegistryContent, id: &SchemaId) -> IdMeaning {
    IdentityFinder { content, known: BTreeMap::new(), depth: 0, formed: true }.identify_id(id)
}

/// The identity of each id that was read. An id whose schema, or one that it references, could not be read has none.
#[must_use]
pub fn identify_schemas(content: &RegistryContent) -> BTreeMap<SchemaId, u128> {
    let told = content.ids.keys().filter_map(|id| match identify_id(content, id) {
        IdMeaning::Told { identity, .. } => Some((id.clone(), identity)),
        IdMeaning::Absent | IdMeaning::Untold(_) => None,
    });
    told.collect()
}

struct IdentityFinder<'a> {
    content: &'a RegistryContent,
    /// Versions that were gone through; an error while one is.
    known: BTreeMap<SubjectVersion, Result<u128, String>>,
    depth: usize,
    /// Whether all that was gone through has a form.
    formed: bool,
}

impl IdentityFinder<'_> {
    fn identify_id(&mut self, id: &SchemaId) -> IdMeaning {
        let schema = match self.content.ids.get(id) {
            Some(RegistryAnswer::Told(Some(schema))) => schema,
            Some(RegistryAnswer::Told(None)) => return IdMeaning::Absent,
            Some(RegistryAnswer::Unknown(why)) => return IdMeaning::Untold(why.what.clone()),
            Some(RegistryAnswer::NotOffered) => return IdMeaning::Untold("it reads no ids".to_owned()),
            None => return IdMeaning::Untold("it was not asked".to_owned()),
        };
        match self.identify_deeply(&id.context, schema) {
            Ok(identity) => IdMeaning::Told { identity, formed: self.formed },
            Err(why) => IdMeaning::Untold(why),
        }
    }

    fn identify_deeply(&mut self, context: &str, schema: &SchemaText) -> Result<u128, String> {
        // Without a form the text counts: the same text is the same schema.
        let (tag, own) = match canonicalise_schema(schema) {
            Ok(forms) => (1_u8, forms.reading),
            Err(_) => (0, xxh3_128(schema.text.as_bytes())),
        };
        self.formed &= tag == 1;
        let mut hash = Xxh3::new();
        hash.update(&[tag]);
        hash.update(String::from(schema.format.clone()).as_bytes());
        hash.update(&own.to_le_bytes());
        for (name, reference) in by_name_of(schema) {
            let at = self.content.resolve_reference(context, reference);
            let identity =
                self.identify_version(&at.ok_or_else(|| format!("it references {reference}, which is not there"))?)?;
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(&identity.to_le_bytes());
        }
        Ok(hash.digest128())
    }

    fn identify_version(&mut self, at: &SubjectVersion) -> Result<u128, String> {
        if let Some(known) = self.known.get(at) {
            return known.clone();
        }
        if self.depth >= DEEPEST {
            return Err("its references are nested too deep".to_owned());
        }
        self.known.insert(at.clone(), Err("its references lead back to themselves".to_owned()));
        let stored = self.content.find_version(at).and_then(|listed| listed.content.as_told());
        let identity = match stored {
            None => Err(format!("it references {at}, which could not be read")),
            Some(stored) => {
                self.depth += 1;
                let identity = self.identify_deeply(self.content.context_of(&at.subject), &stored.schema);
                self.depth -= 1;
                identity
            }
        };
        self.known.insert(at.clone(), identity.clone());
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMED: IdMeaning = IdMeaning::Told { identity: 1, formed: true };
    const OTHER: IdMeaning = IdMeaning::Told { identity: 2, formed: true };
    const TEXT: IdMeaning = IdMeaning::Told { identity: 3, formed: false };
    const OTHER_TEXT: IdMeaning = IdMeaning::Told { identity: 4, formed: false };

    fn place(own: &IdMeaning, other: &IdMeaning) -> IdPlace {
        place_id(7, Side::Blue, own, other)
    }

    /// The property that claims rest on: the same bytes on both sides get one identity, or none, but where two meanings are
    /// told.
    #[test]
    fn the_same_bytes_never_get_two_identities_by_a_gap() {
        let untold = IdMeaning::Untold("it references a".into());
        let all = [FORMED, OTHER, TEXT, OTHER_TEXT, IdMeaning::Absent, untold];
        for own in &all {
            for other in &all {
                let (here, there) = (place(own, other), place_id(7, Side::Green, other, own));
                let doubtful = matches!(here, IdPlace::Doubtful(_)) || matches!(there, IdPlace::Doubtful(_));
                let told = matches!((own, other), (IdMeaning::Told { .. }, IdMeaning::Told { .. }));
                assert!(here == there || doubtful || (told && own != other), "{own:?} {other:?}: {here:?} {there:?}");
            }
        }
    }

    #[test]
    fn what_one_registry_does_not_tell_is_doubtful_where_the_other_does() {
        let untold = IdMeaning::Untold("it references a".into());
        for other in [&FORMED, &OTHER, &TEXT, &IdMeaning::Absent, &untold] {
            assert_eq!(place(&FORMED, other), IdPlace::Meaning(1), "{other:?}");
        }
        // a server that gives ids of its own: the number is another schema's there
        assert_eq!(place(&TEXT, &OTHER), IdPlace::Meaning(3));
        assert_eq!(place(&TEXT, &IdMeaning::Absent), IdPlace::Meaning(3));
        assert_eq!(place(&IdMeaning::Absent, &IdMeaning::Absent), IdPlace::AsItIs, "bytes that only look like an id");
        assert_eq!(place(&untold, &untold), IdPlace::AsItIs);
        let IdPlace::Doubtful(why) = place(&IdMeaning::Absent, &TEXT) else { panic!("a guess") };
        assert_eq!(why, "records of blue carry schema id 7, which its registry does not know, and green's does");
        for (own, other) in [(&TEXT, &OTHER_TEXT), (&TEXT, &untold), (&untold, &FORMED), (&untold, &IdMeaning::Absent)]
        {
            assert!(matches!(place(own, other), IdPlace::Doubtful(_)), "{own:?} {other:?}");
        }
    }
}
