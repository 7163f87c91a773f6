//! Where a flag's default variant stands in the text of a flag file.
//!
//! A file that flagd refuses says nothing: it goes on with what it read before. It reads strict JSON (Go's), without a
//! byte order mark, and takes no file in which some flag's default variant is none of its variants. Only where the plan
//! says that something else reads the file may it have comments and trailing commas. What a flag with targeting rules is
//! only flagd can say, for each of those who ask.

use std::ops::Range;
use std::path::Path;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::FileDialect;
use crate::base::Trouble;
use crate::base::sanitise::{quoted_name, visible_name, visible_names, visible_path, visible_text};

const STRICT_BUT_COMMENTS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Where a flag's default variant stands in the text.
pub(super) struct FlagLiteral {
    pub(super) variant: String,
    pub(super) variants: Vec<String>,
    pub(super) literal: Range<usize>,
}

/// The value of a property that must be there once: readers differ in which of two they take.
fn find_property<'a, 'b>(object: &'b Object<'a>, name: &str) -> Result<Option<&'b Value<'a>>, String> {
    let mut found = object.properties.iter().filter(|p| p.name.as_str() == name);
    match (found.next(), found.next()) {
        (first, None) => Ok(first.map(|p| &p.value)),
        (_, Some(_)) => Err(format!("{} is there twice", quoted_name(name))),
    }
}

/// Why flagd would refuse a file, and go on with what it had.
fn refused_by_flagd(text: &str, path: &Path) -> Result<(), Trouble> {
    let at = visible_path(path);
    let stays = "flagd refuses the whole file then, and goes on with what it read before";
    let advice = "write strict JSON, without comments, trailing commas and a byte order mark; or, where something else than \
                  flagd reads the file, say so in the plan: comments = true";
    if text.starts_with('\u{feff}') {
        let what = format!("the flag file {at} begins with a byte order mark: {stays}");
        return Err(Trouble::new(visible_text(&what), advice));
    }
    // By another parser than below: this one takes nothing but JSON, and that one tells where the text stands.
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| ())
        .map_err(|e| Trouble::new(visible_text(&format!("the flag file {at} is not JSON: {e}: {stays}")), advice))
}

/// A flag whose default variant flagd does not take, and with it the whole file.
fn find_broken_neighbour(flags: &Object<'_>) -> Option<(String, String)> {
    flags.properties.iter().find_map(|flag| {
        let Value::Object(object) = &flag.value else {
            return Some((flag.name.as_str().to_owned(), "is not an object".to_owned()));
        };
        // A neighbour that has it twice is not judged: which of the two counts is its reader's matter.
        let Some(Value::StringLit(default)) = find_property(object, "defaultVariant").ok()? else { return None };
        let has = match find_property(object, "variants").ok()? {
            Some(Value::Object(v)) => v.properties.iter().any(|p| p.name.as_str() == default.value.as_ref()),
            _ => false,
        };
        let why =
            || format!("has the \"defaultVariant\" {}, which is none of its variants", quoted_name(&default.value));
        (!has && !default.value.is_empty()).then(|| (flag.name.as_str().to_owned(), why()))
    })
}

/// Finds a flag that says something: there, on, the same for all who ask, in a file that its reader takes.
pub(super) fn find_flag(text: &str, path: &Path, key: &str, by: FileDialect) -> Result<FlagLiteral, Trouble> {
    if by == FileDialect::Flagd {
        refused_by_flagd(text, path)?;
    }
    let place = FlagPlace { at: visible_path(path), shown: visible_name(key) };
    // The parser's ranges count from behind it: they are moved back at the end.
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let parsed = parse_to_ast(&text[bom..], &CollectOptions::default(), &STRICT_BUT_COMMENTS).map_err(|e| {
        visible_trouble(&format!("the flag file {} is not JSON: {e}", place.at), "repair it; nothing was changed")
    })?;
    let flags = place.find_flags(parsed.value.as_ref())?;
    let flag = place.find_object(flags, key)?;
    // Before the variant: of a flag that is off the variant is true and means nothing.
    place.check_enabled(flag)?;
    let found = place.find_variant(flag)?;
    place.refuse_targeting(flag)?;
    // Last: what is wrong with the flag itself is worth more than what is wrong beside it.
    if by == FileDialect::Flagd {
        place.refuse_broken_neighbour(flags)?;
    }
    let literal = found.literal.start + bom..found.literal.end + bom;
    Ok(FlagLiteral { literal, ..found })
}

/// A trouble with what a file holds in it.
fn visible_trouble(what: &str, advice: &str) -> Trouble {
    Trouble::new(visible_text(what), visible_text(advice))
}

/// A flag and its file, as they are named in what is wrong with them.
struct FlagPlace {
    at: String,
    shown: String,
}

impl FlagPlace {
    /// The value of a property of something in this file, which must not be there twice.
    fn find_once<'a, 'b>(&self, object: &'b Object<'a>, name: &str) -> Result<Option<&'b Value<'a>>, Trouble> {
        let twice = |why: String| visible_trouble(&format!("the flag file {}: {why}", self.at), "keep one of them");
        find_property(object, name).map_err(twice)
    }

    /// How the flag is written, for who has not.
    fn describe_missing_flag(&self) -> String {
        format!(
            "write \"{}\": {{ \"state\": \"ENABLED\", \"variants\": {{ \"blue\": \"blue\", \"green\": \"green\", \"off\": \"off\" }}, \
             \"defaultVariant\": \"blue\" }} under \"flags\" (and \"dual\" or \"both\" where it is used)",
            self.shown
        )
    }

    /// All flags of the file.
    fn find_flags<'a, 'b>(&self, parsed: Option<&'b Value<'a>>) -> Result<&'b Object<'a>, Trouble> {
        let at = &self.at;
        let Some(Value::Object(root)) = parsed else {
            return Err(visible_trouble(
                &format!("the flag file {at} holds no object"),
                "write { \"flags\": { ... } }",
            ));
        };
        let Some(Value::Object(flags)) = self.find_once(root, "flags")? else {
            let what = format!("the flag file {at} has no \"flags\" object");
            return Err(visible_trouble(&what, &self.describe_missing_flag()));
        };
        Ok(flags)
    }

    /// The flag among them.
    fn find_object<'a, 'b>(&self, flags: &'b Object<'a>, key: &str) -> Result<&'b Object<'a>, Trouble> {
        let Self { at, shown } = self;
        let what = match self.find_once(flags, key)? {
            Some(Value::Object(flag)) => return Ok(flag),
            Some(_) => format!("flag \"{shown}\" in {at} is not an object"),
            None => format!("the flag file {at} has no flag \"{shown}\""),
        };
        Err(visible_trouble(&what, &self.describe_missing_flag()))
    }

    fn check_enabled(&self, flag: &Object<'_>) -> Result<(), Trouble> {
        let Self { at, shown } = self;
        match self.find_once(flag, "state")? {
            Some(Value::StringLit(s)) if s.value == "ENABLED" => Ok(()),
            Some(Value::StringLit(s)) if s.value == "DISABLED" => Err(visible_trouble(
                &format!(
                    "flag \"{shown}\" in {at} is DISABLED: applications use their built-in default, whatever it says"
                ),
                "set its \"state\" to \"ENABLED\", after checking that its \"defaultVariant\" is where things run now",
            )),
            _ => Err(visible_trouble(
                &format!("flag \"{shown}\" in {at} has no \"state\" that flagd knows"),
                "write \"state\": \"ENABLED\"",
            )),
        }
    }

    /// Its default variant, which must be one of its variants; the range counts in what was parsed.
    fn find_variant(&self, flag: &Object<'_>) -> Result<FlagLiteral, Trouble> {
        let Self { at, shown } = self;
        let Some(Value::Object(variants)) = self.find_once(flag, "variants")? else {
            let what = format!("flag \"{shown}\" in {at} has no \"variants\"");
            return Err(visible_trouble(&what, &self.describe_missing_flag()));
        };
        let variants: Vec<String> = variants.properties.iter().map(|p| p.name.as_str().to_owned()).collect();
        let Some(Value::StringLit(literal)) = self.find_once(flag, "defaultVariant")? else {
            return Err(visible_trouble(
                &format!("flag \"{shown}\" in {at} has no \"defaultVariant\" text"),
                &format!("write \"defaultVariant\": one of {}", visible_names(&variants)),
            ));
        };
        let variant = literal.value.to_string();
        if !variants.contains(&variant) {
            return Err(visible_trouble(
                &format!(
                    "flag \"{shown}\" in {at}: its \"defaultVariant\" {} is none of its variants",
                    quoted_name(&variant)
                ),
                &format!("set it to one of {}", visible_names(&variants)),
            ));
        }
        let range = literal.range();
        Ok(FlagLiteral { variant, variants, literal: range.start..range.end })
    }

    fn refuse_targeting(&self, flag: &Object<'_>) -> Result<(), Trouble> {
        let Self { at, shown } = self;
        // An empty object is what the advice below asks for.
        let targeting = match self.find_once(flag, "targeting")? {
            None | Some(Value::NullKeyword(_)) => false,
            Some(Value::Object(rules)) => !rules.properties.is_empty(),
            Some(_) => true,
        };
        if !targeting {
            return Ok(());
        }
        Err(visible_trouble(
            &format!(
                "flag \"{shown}\" in {at} has targeting rules: they decide for each application what it gets, whatever \
                 its default variant says"
            ),
            "take the rules out (\"targeting\": {}), or ask and set it with provider = \"command\"",
        ))
    }

    fn refuse_broken_neighbour(&self, flags: &Object<'_>) -> Result<(), Trouble> {
        let Some((name, why)) = find_broken_neighbour(flags) else { return Ok(()) };
        Err(visible_trouble(
            &format!(
                "flag {} in {} {why}: flagd refuses the whole file then, and goes on with what it read before",
                quoted_name(&name),
                self.at
            ),
            "mend that flag",
        ))
    }
}
