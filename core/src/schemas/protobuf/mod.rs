//! Protobuf schemas in one form.
//!
//! There is no canonical form of a `.proto`, and Confluent's registry prints each anew (comments gone, options before
//! fields, nested types last). So a file is taken apart and printed in an order of its own: what no reader goes by is sorted
//! (fields by number, enums by name, options by name, reserved numbers as ranges), and what is kept in order is what counts:
//! *messages*, whose place in the file Confluent's serializers write in front of each record, and the values of an enum, the
//! first of which is its default. Names of types are resolved within the file.
//!
//! Not told apart, and so never claimed to differ: a type of an imported file under two spellings (`Money`, `google.type.Money`),
//! and the insides of an option's `{ ... }`. Groups and whatever else can't be read leave a schema without a form.

mod file;
mod tokens;

use std::collections::BTreeSet;

use self::file::{ProtoBody, ProtoEnum, ProtoField, ProtoFile, ProtoMessage, ProtoOption, ProtoType, Reserved};
use self::tokens::ProtoToken;
use super::forms::CanonicalForms;

const SCALARS: &[&str] = &[
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "string", "bytes",
];

/// A Protobuf schema in its forms.
///
/// # Errors
/// In words: why it has none.
pub(super) fn canonicalise_protobuf(text: &str) -> Result<CanonicalForms, String> {
    let file = ProtoFile::parse_file(text)?;
    let mut defined = BTreeSet::new();
    collect_names(&file.body, &file.package, &mut defined);
    let print = |view| {
        let mut printer = ProtoPrinter { view, defined: &defined, out: String::new() };
        printer.print_file(&file);
        printer.out
    };
    Ok(CanonicalForms::from_texts(
        &print(ProtoView::Whole),
        &print(ProtoView::Certain),
        &print(ProtoView::Reading),
        &print(ProtoView::Encoding),
    ))
}

/// What of a file is printed.
#[derive(Clone, Copy, PartialEq)]
enum ProtoView {
    /// Everything.
    Whole,
    /// Everything, with what can't be told apart left open.
    Certain,
    /// Without what is for generators and people: most options, services, what is reserved.
    Reading,
    /// Without names of fields and values either, and without defaults.
    Encoding,
}

fn join_scope(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn collect_names(body: &ProtoBody, scope: &str, defined: &mut BTreeSet<String>) {
    defined.extend(body.enums.iter().map(|e| join_scope(scope, &e.name)));
    for message in &body.messages {
        let name = join_scope(scope, &message.name);
        collect_names(&message.body, &name, defined);
        defined.insert(name);
    }
}

struct ProtoPrinter<'a> {
    view: ProtoView,
    /// Full names of the file's own types.
    defined: &'a BTreeSet<String>,
    out: String,
}

impl ProtoPrinter<'_> {
    /// Whether what is for generators and people is printed.
    fn shows_words(&self) -> bool {
        matches!(self.view, ProtoView::Whole | ProtoView::Certain)
    }

    fn push_line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn print_file(&mut self, file: &ProtoFile) {
        self.push_line(&format!("syntax {}", file.syntax));
        self.push_line(&format!("package {}", file.package));
        for import in &file.imports {
            self.push_line(&format!("import {import}"));
        }
        self.print_body(&file.body, &file.package);
        if !self.shows_words() {
            return;
        }
        let mut services: Vec<_> = file.services.iter().collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        for service in services {
            self.push_line(&format!("service {}{}", service.name, self.format_options(&service.options)));
            let stream = |streams: bool| if streams { "stream " } else { "" };
            let mut lines: Vec<String> = Vec::new();
            for m in &service.methods {
                let of = |(streams, name): &(bool, String)| {
                    format!("{}{}", stream(*streams), self.resolve_type(name, &file.package))
                };
                let options = self.format_options(&m.options);
                lines.push(format!("rpc {} {} -> {}{options}", m.name, of(&m.input), of(&m.output)));
            }
            lines.sort();
            lines.iter().for_each(|line| self.push_line(line));
        }
    }

    fn print_body(&mut self, body: &ProtoBody, scope: &str) {
        let options = self.format_options(&body.options);
        self.push_line(&format!("options{options}"));
        for message in &body.messages {
            self.print_message(message, &join_scope(scope, &message.name));
        }
        let mut enums: Vec<&ProtoEnum> = body.enums.iter().collect();
        enums.sort_by(|a, b| a.name.cmp(&b.name));
        enums.into_iter().for_each(|e| self.print_enum(e));
        let mut extends: Vec<String> = Vec::new();
        for (of, fields) in &body.extends {
            let of = self.resolve_type(of, scope);
            extends.extend(fields.iter().map(|f| format!("extend {of} {}", self.format_field(f, scope))));
        }
        extends.sort();
        extends.iter().for_each(|line| self.push_line(line));
    }

    fn print_message(&mut self, message: &ProtoMessage, scope: &str) {
        self.push_line(&format!("message {} {{", message.name));
        let mut fields: Vec<&ProtoField> = message.fields.iter().collect();
        fields.sort_by_key(|f| f.number);
        for field in fields {
            let line = self.format_field(field, scope);
            self.push_line(&line);
        }
        if self.shows_words() {
            let oneofs =
                message.oneofs.iter().map(|(name, options)| format!("oneof {name}{}", self.format_options(options)));
            let extensions = message.extensions.iter().map(|e| format!("extensions {e}"));
            let mut lines: Vec<String> = oneofs.chain(extensions).collect();
            lines.sort();
            lines.iter().for_each(|line| self.push_line(line));
            self.print_reserved(&message.reserved);
        }
        self.print_body(&message.body, scope);
        self.push_line("}");
    }

    fn print_enum(&mut self, all: &ProtoEnum) {
        self.push_line(&format!("enum {}{} {{", all.name, self.format_options(&all.options)));
        for (name, number, options) in &all.values {
            let name = if self.view == ProtoView::Encoding { "" } else { name };
            let line = format!("{number} {name}{}", self.format_options(options));
            self.push_line(&line);
        }
        if self.shows_words() {
            self.print_reserved(&all.reserved);
        }
        self.push_line("}");
    }

    fn print_reserved(&mut self, reserved: &Reserved) {
        for (from, to) in reserved.merge_ranges() {
            self.push_line(&format!("reserved {from} {to}"));
        }
        for name in &reserved.names {
            self.push_line(&format!("reserved {name:?}"));
        }
    }

    fn format_field(&self, field: &ProtoField, scope: &str) -> String {
        let of = match &field.of {
            ProtoType::One(name) => self.resolve_type(name, scope),
            ProtoType::Map(key, value) => {
                format!("map<{},{}>", self.resolve_type(key, scope), self.resolve_type(value, scope))
            }
        };
        let wire = self.view == ProtoView::Encoding;
        let name = if wire { "" } else { &field.name };
        let oneof = match &field.oneof {
            Some(_) if wire => " oneof".to_owned(),
            Some(oneof) => format!(" oneof {oneof}"),
            None => String::new(),
        };
        format!("{} {} {of} {name}{oneof}{}", field.number, field.label, self.format_options(&field.options))
    }

    /// Options that the view shows, sorted by name; those of one name in their order, as they may be a list.
    fn format_options(&self, options: &[ProtoOption]) -> String {
        let mut shown: Vec<&ProtoOption> = options.iter().filter(|o| self.shows_option(&o.name)).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        let written =
            shown.into_iter().map(|option| format!(" [{}={}]", option.name, self.format_value(&option.value)));
        written.collect()
    }

    fn shows_option(&self, name: &str) -> bool {
        let on_the_wire = name == "packed" || name == "message_set_wire_format" || name.starts_with("features");
        match self.view {
            ProtoView::Whole | ProtoView::Certain => true,
            ProtoView::Reading => on_the_wire || matches!(name, "default" | "json_name"),
            ProtoView::Encoding => on_the_wire,
        }
    }

    fn format_value(&self, value: &[ProtoToken]) -> String {
        // Inside of braces it is text format, in which one thing may be written in several ways.
        if self.view == ProtoView::Certain && value.contains(&ProtoToken::Sign('{')) {
            return "{?}".to_owned();
        }
        let mut out = String::new();
        for token in value {
            token.write_plain(&mut out);
            out.push(' ');
        }
        out
    }

    /// A type by its full name where the file defines it; else as it is written, behind a question mark. Looked for from the
    /// innermost scope outwards, by its first part (protobuf's language guide, "Name Resolution").
    fn resolve_type(&self, name: &str, scope: &str) -> String {
        if SCALARS.contains(&name) {
            return name.to_owned();
        }
        let open = |name: &str| match self.view {
            ProtoView::Certain => format!("?{}", name.rsplit('.').next().unwrap_or(name)),
            _ => format!("?{name}"),
        };
        if let Some(full) = name.strip_prefix('.') {
            return if self.defined.contains(full) { format!(".{full}") } else { open(name) };
        }
        let first = name.split('.').next().unwrap_or(name);
        let mut scope = scope;
        loop {
            let full = join_scope(scope, name);
            if self.defined.contains(&full) {
                return format!(".{full}");
            }
            // The first part is found here, and the rest is not in this file.
            if self.defined.contains(&join_scope(scope, first)) || scope.is_empty() {
                return open(name);
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> CanonicalForms {
        canonicalise_protobuf(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// What was sent, and what Confluent's registry printed of it.
    #[test]
    fn what_is_printed_anew_is_the_same() {
        let sent = "syntax = \"proto3\";\n// c\nmessage M { string a = 1; }";
        assert_eq!(forms(sent), forms("syntax = \"proto3\";\n\nmessage M {\n  string a = 1;\n}\n"));
        let sent = r#"syntax = 'proto3'; package p; import "b.proto"; import public 'a.proto';
            message M {
              message Inner { int32 x = 0x1; }
              repeated Inner all = 2 [json_name = "x", deprecated = true];
              oneof o { string s = 4; .p.E e = 3; }
              enum E { A = 0; B = -1; }
              reserved 7, 8 to 10, 12; reserved "q", 'r';
              map<string, M.Inner> m = 5;
              option (mine).x = { a: 1 };
            }
            enum E { ZERO = 0; }
            service S { rpc Go (stream M) returns (M) { option deadline = 1.50; } rpc A(M) returns(M); }"#;
        let printed = r#"syntax = "proto3"; package p; import public "a.proto"; import "b.proto";
            enum E { ZERO = 0; }
            message M {
              option (mine).x = { a: 1 };
              reserved "r", "q"; reserved 7 to 10, 12;
              oneof o { p.E e = 3; string s = 4; }
              repeated p.M.Inner all = 2 [deprecated = true, json_name = "x"];
              map<string, Inner> m = 5;
              enum E { A = 0; B = -1; }
              message Inner { int32 x = 1; }
            }
            service S { rpc A (.p.M) returns (M); rpc Go (stream M) returns (M) { option deadline = 15e-1; } }"#;
        // `.p.E` of the first is the outer one, and so is `p.E` of the second
        assert_eq!(forms(sent), forms(printed));
    }

    #[test]
    fn order_counts_where_it_is_written_with_records() {
        let two = forms("message A { optional int32 x = 1; } message B { }");
        let turned = forms("message B { } message A { optional int32 x = 1; }");
        assert_ne!(two.encoding, turned.encoding, "a record names its message by its place");
        assert_ne!(forms("enum E { A = 0; B = 1; }").encoding, forms("enum E { B = 1; A = 0; }").encoding);
        let enums = ("enum E { A = 0; } message M {}", "message M {} enum E { A = 0; }");
        assert_eq!(forms(enums.0), forms(enums.1), "an enum has no place among messages");
    }

    #[test]
    fn each_difference_is_in_its_layer() {
        let plain = "message M { optional int32 x = 1; reserved 5; }";
        let differs = |from: &str, to: &str| {
            let (a, b) = (forms(plain), forms(&plain.replace(from, to)));
            (a.encoding != b.encoding, a.reading != b.reading, a.certain != b.certain)
        };
        assert_eq!(differs("int32", "sint32"), (true, true, true));
        assert_eq!(differs("x = 1", "x = 2"), (true, true, true));
        assert_eq!(differs("x = 1", "y = 1"), (false, true, true));
        assert_eq!(differs("x = 1", "x = 1 [default = 3]"), (false, true, true));
        assert_eq!(differs("x = 1", "x = 1 [packed = true]"), (true, true, true));
        assert_eq!(differs("reserved 5", "reserved 6"), (false, false, true));
        assert_eq!(differs("optional", "required"), (true, true, true));
    }

    #[test]
    fn what_can_be_written_in_two_ways_is_left_open() {
        let of = |name: &str| forms(&format!("package p; import \"m.proto\"; message M {{ optional {name} a = 1; }}"));
        let (short, long) = (of("Money"), of("google.type.Money"));
        assert!(short.whole != long.whole && short.certain == long.certain);
        assert!(short.certain != of("google.type.Date").certain);
        let option = |inside: &str| forms(&format!("option (o) = {{ {inside} }}; message M {{}}"));
        let (comma, none) = (option("a: 1, b: 2"), option("a: 1 b: 2"));
        assert!(comma.whole != none.whole && comma.certain == none.certain);
    }

    #[test]
    fn what_is_not_read_has_no_form() {
        let deep = "message M { ".repeat(50) + &"}".repeat(50);
        for bad in [
            "message M { optional group G = 1 { optional int32 x = 2; } }",
            "message M { int32 x = 1 }",
            "message M {",
            "message M { int32 x = 1.5; }",
            "message M { int32 x = -1; }",
            "widget W {}",
            "option x = ;",
            "option x = };",
            "service S { stream X; }",
            "syntax = proto3;",
            "}",
            &deep,
        ] {
            assert!(canonicalise_protobuf(bad).is_err(), "{bad}");
        }
    }
}
