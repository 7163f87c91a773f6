//! A `.proto` file taken apart: the statements of proto2, proto3 and editions, but for groups.

use std::collections::BTreeSet;

use super::tokens::{ProtoToken, read_tokens};

/// How deep messages may be nested.
const DEEPEST: usize = 32;

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct ProtoFile {
    /// `proto2` where nothing is said.
    pub syntax: String,
    pub package: String,
    /// With `public` or `weak` in front where that is said.
    pub imports: BTreeSet<String>,
    pub body: ProtoBody,
    pub services: Vec<ProtoService>,
}

/// What may stand in a file and in a message.
#[derive(Debug, Default)]
pub(super) struct ProtoBody {
    pub options: Vec<ProtoOption>,
    /// In the order of the file: Confluent's serializers write a message's place in it in front of each record.
    pub messages: Vec<ProtoMessage>,
    pub enums: Vec<ProtoEnum>,
    pub extends: Vec<(String, Vec<ProtoField>)>,
}

#[derive(Debug, Default)]
pub(super) struct ProtoMessage {
    pub name: String,
    pub fields: Vec<ProtoField>,
    pub oneofs: Vec<(String, Vec<ProtoOption>)>,
    pub extensions: Vec<String>,
    pub reserved: Reserved,
    pub body: ProtoBody,
}

#[derive(Debug)]
pub(super) struct ProtoField {
    /// `optional`, `required`, `repeated`, or nothing.
    pub label: String,
    pub of: ProtoType,
    pub name: String,
    pub number: u64,
    pub oneof: Option<String>,
    pub options: Vec<ProtoOption>,
}

#[derive(Debug)]
pub(super) enum ProtoType {
    One(String),
    Map(String, String),
}

#[derive(Debug, Default)]
pub(super) struct ProtoEnum {
    pub name: String,
    /// Name, number, options; the first is the default.
    pub values: Vec<(String, String, Vec<ProtoOption>)>,
    pub options: Vec<ProtoOption>,
    pub reserved: Reserved,
}

#[derive(Debug)]
pub(super) struct ProtoOption {
    pub name: String,
    pub value: Vec<ProtoToken>,
}

#[derive(Debug, Default)]
pub(super) struct ProtoService {
    pub name: String,
    pub options: Vec<ProtoOption>,
    pub methods: Vec<ProtoMethod>,
}

#[derive(Debug)]
pub(super) struct ProtoMethod {
    pub name: String,
    /// Whether it is a stream, and of what.
    pub input: (bool, String),
    pub output: (bool, String),
    pub options: Vec<ProtoOption>,
}

/// Numbers and names that may not be used again.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    pub ranges: Vec<(i64, i64)>,
    pub names: BTreeSet<String>,
}

impl Reserved {
    /// Ranges in order, those that touch as one.
    pub(super) fn merge_ranges(&self) -> Vec<(i64, i64)> {
        let mut sorted = self.ranges.clone();
        sorted.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (from, to) in sorted {
            match merged.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = (*end).max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }
}

impl ProtoFile {
    /// Reads a file.
    ///
    /// # Errors
    /// In words: it is none, or holds something that is not read here.
    pub(super) fn parse_file(text: &str) -> Result<Self, String> {
        let tokens = read_tokens(text)?;
        let mut cursor = ProtoCursor { tokens: &tokens, at: 0 };
        let mut file = ProtoFile { syntax: "proto2".to_owned(), ..ProtoFile::default() };
        while !cursor.is_done() {
            if cursor.take_sign(';') {
                continue;
            }
            let word = cursor.read_word()?;
            match word.as_str() {
                "syntax" | "edition" => {
                    cursor.expect_sign('=')?;
                    file.syntax = cursor.read_string()?;
                    cursor.expect_sign(';')?;
                }
                "package" => {
                    file.package = cursor.read_word()?;
                    cursor.expect_sign(';')?;
                }
                "import" => {
                    let how = if cursor.is_word() { format!("{} ", cursor.read_word()?) } else { String::new() };
                    let path = cursor.read_string()?;
                    file.imports.insert(format!("{how}{path}"));
                    cursor.expect_sign(';')?;
                }
                "service" => file.services.push(cursor.read_service()?),
                _ => cursor.read_shared(&word, &mut file.body, 0)?,
            }
        }
        Ok(file)
    }
}

struct ProtoCursor<'a> {
    tokens: &'a [ProtoToken],
    at: usize,
}

impl ProtoCursor<'_> {
    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn next_token(&mut self) -> Result<&ProtoToken, String> {
        let token = self.tokens.get(self.at).ok_or("it ends in the middle")?;
        self.at += 1;
        Ok(token)
    }

    fn is_word(&self) -> bool {
        matches!(self.tokens.get(self.at), Some(ProtoToken::Word(_)))
    }

    fn read_word(&mut self) -> Result<String, String> {
        match self.next_token()? {
            ProtoToken::Word(word) => Ok(word.clone()),
            _ => Err("a name is missing".to_owned()),
        }
    }

    fn read_string(&mut self) -> Result<String, String> {
        match self.next_token()? {
            ProtoToken::Text(bytes) => String::from_utf8(bytes.clone()).map_err(|_| "a text is no UTF-8".to_owned()),
            _ => Err("a text is missing".to_owned()),
        }
    }

    /// A whole number with its sign.
    fn read_integer(&mut self) -> Result<i64, String> {
        let negative = self.take_sign('-');
        match self.next_token()? {
            ProtoToken::Number(number) => {
                let number: i64 = number.parse().map_err(|_| "a number is not whole".to_owned())?;
                Ok(if negative { -number } else { number })
            }
            _ => Err("a number is missing".to_owned()),
        }
    }

    fn has_sign(&self, sign: char) -> bool {
        self.tokens.get(self.at) == Some(&ProtoToken::Sign(sign))
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let there = self.has_sign(sign);
        self.at += usize::from(there);
        there
    }

    fn expect_sign(&mut self, sign: char) -> Result<(), String> {
        if self.take_sign(sign) { Ok(()) } else { Err(format!("a {sign} is missing")) }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(ProtoToken::Word(w)) if w == word);
        self.at += usize::from(there);
        there
    }

    /// A statement that files and messages share; its first word is read.
    fn read_shared(&mut self, word: &str, body: &mut ProtoBody, depth: usize) -> Result<(), String> {
        match word {
            "option" => body.options.push(self.read_option_statement()?),
            "message" => body.messages.push(self.read_message(depth + 1)?),
            "enum" => body.enums.push(self.read_enum()?),
            "extend" => {
                let of = self.read_word()?;
                let mut fields = Vec::new();
                self.expect_sign('{')?;
                while !self.take_sign('}') {
                    if !self.take_sign(';') {
                        let word = self.read_word()?;
                        fields.push(self.read_field(&word, None)?);
                    }
                }
                body.extends.push((of, fields));
            }
            _ => return Err("it begins a statement that is not read here".to_owned()),
        }
        Ok(())
    }

    fn read_message(&mut self, depth: usize) -> Result<ProtoMessage, String> {
        if depth > DEEPEST {
            return Err("messages are nested too deep".to_owned());
        }
        let mut message = ProtoMessage { name: self.read_word()?, ..ProtoMessage::default() };
        self.expect_sign('{')?;
        while !self.take_sign('}') {
            if self.take_sign(';') {
                continue;
            }
            let word = self.read_word()?;
            match word.as_str() {
                "option" | "message" | "enum" | "extend" => self.read_shared(&word, &mut message.body, depth)?,
                "reserved" => self.read_reserved(&mut message.reserved)?,
                "extensions" => message.extensions.push(self.read_plain_statement()?),
                "oneof" => self.read_oneof(&mut message)?,
                _ => message.fields.push(self.read_field(&word, None)?),
            }
        }
        Ok(message)
    }

    fn read_oneof(&mut self, message: &mut ProtoMessage) -> Result<(), String> {
        let name = self.read_word()?;
        let mut options = Vec::new();
        self.expect_sign('{')?;
        while !self.take_sign('}') {
            if self.take_sign(';') {
                continue;
            }
            let word = self.read_word()?;
            match word.as_str() {
                "option" => options.push(self.read_option_statement()?),
                _ => message.fields.push(self.read_field(&word, Some(&name))?),
            }
        }
        message.oneofs.push((name, options));
        Ok(())
    }

    /// A field; its first word is read.
    fn read_field(&mut self, word: &str, oneof: Option<&str>) -> Result<ProtoField, String> {
        let labelled = matches!(word, "optional" | "required" | "repeated");
        let label = if labelled { word.to_owned() } else { String::new() };
        let of = if labelled { self.read_word()? } else { word.to_owned() };
        let of = match of.as_str() {
            "group" => return Err("it has a group, which is not read here".to_owned()),
            "map" if self.take_sign('<') => {
                let key = self.read_word()?;
                self.expect_sign(',')?;
                let value = self.read_word()?;
                self.expect_sign('>')?;
                ProtoType::Map(key, value)
            }
            _ => ProtoType::One(of),
        };
        let name = self.read_word()?;
        self.expect_sign('=')?;
        let number = u64::try_from(self.read_integer()?).map_err(|_| "a field has no number".to_owned())?;
        let options = self.read_bracketed_options()?;
        self.expect_sign(';')?;
        Ok(ProtoField { label, of, name, number, oneof: oneof.map(str::to_owned), options })
    }

    fn read_enum(&mut self) -> Result<ProtoEnum, String> {
        let mut all = ProtoEnum { name: self.read_word()?, ..ProtoEnum::default() };
        self.expect_sign('{')?;
        while !self.take_sign('}') {
            if self.take_sign(';') {
                continue;
            }
            let word = self.read_word()?;
            match word.as_str() {
                "option" => all.options.push(self.read_option_statement()?),
                // a value may be called so
                "reserved" if !self.has_sign('=') => self.read_reserved(&mut all.reserved)?,
                _ => {
                    self.expect_sign('=')?;
                    let number = self.read_integer()?.to_string();
                    let options = self.read_bracketed_options()?;
                    self.expect_sign(';')?;
                    all.values.push((word, number, options));
                }
            }
        }
        Ok(all)
    }

    fn read_reserved(&mut self, reserved: &mut Reserved) -> Result<(), String> {
        loop {
            match self.tokens.get(self.at) {
                Some(ProtoToken::Text(_)) => {
                    reserved.names.insert(self.read_string()?);
                }
                Some(ProtoToken::Word(_)) => {
                    reserved.names.insert(self.read_word()?);
                }
                _ => {
                    let from = self.read_integer()?;
                    let to = match self.take_word("to") {
                        true if self.take_word("max") => i64::MAX,
                        true => self.read_integer()?,
                        false => from,
                    };
                    reserved.ranges.push((from, to));
                }
            }
            if self.take_sign(';') {
                return Ok(());
            }
            self.expect_sign(',')?;
        }
    }

    fn read_service(&mut self) -> Result<ProtoService, String> {
        let mut service = ProtoService { name: self.read_word()?, ..ProtoService::default() };
        self.expect_sign('{')?;
        while !self.take_sign('}') {
            if self.take_sign(';') {
                continue;
            }
            match self.read_word()?.as_str() {
                "option" => service.options.push(self.read_option_statement()?),
                "rpc" => service.methods.push(self.read_method()?),
                _ => return Err("a service has a statement that is not read here".to_owned()),
            }
        }
        Ok(service)
    }

    fn read_method(&mut self) -> Result<ProtoMethod, String> {
        let name = self.read_word()?;
        let input = self.read_method_type()?;
        if !self.take_word("returns") {
            return Err("a method returns nothing".to_owned());
        }
        let output = self.read_method_type()?;
        let mut options = Vec::new();
        if !self.take_sign(';') {
            self.expect_sign('{')?;
            while !self.take_sign('}') {
                if self.take_sign(';') {
                    continue;
                }
                match self.take_word("option") {
                    true => options.push(self.read_option_statement()?),
                    false => return Err("a method has a statement that is not read here".to_owned()),
                }
            }
        }
        Ok(ProtoMethod { name, input, output, options })
    }

    fn read_method_type(&mut self) -> Result<(bool, String), String> {
        self.expect_sign('(')?;
        let word = self.read_word()?;
        let stream = word == "stream" && self.is_word();
        let of = if stream { self.read_word()? } else { word };
        self.expect_sign(')')?;
        Ok((stream, of))
    }

    /// An option behind its keyword, with the semicolon.
    fn read_option_statement(&mut self) -> Result<ProtoOption, String> {
        let option = self.read_option()?;
        self.expect_sign(';')?;
        Ok(option)
    }

    fn read_bracketed_options(&mut self) -> Result<Vec<ProtoOption>, String> {
        let mut options = Vec::new();
        if !self.take_sign('[') {
            return Ok(options);
        }
        loop {
            options.push(self.read_option()?);
            if self.take_sign(']') {
                return Ok(options);
            }
            self.expect_sign(',')?;
        }
    }

    fn read_option(&mut self) -> Result<ProtoOption, String> {
        let mut name = String::new();
        while !self.take_sign('=') {
            match self.next_token()? {
                token @ (ProtoToken::Word(_) | ProtoToken::Sign('(' | ')')) => token.write_plain(&mut name),
                _ => return Err("an option has no name".to_owned()),
            }
        }
        let mut value = Vec::new();
        let mut open = 0_usize;
        loop {
            let token = self.next_token()?.clone();
            match token {
                ProtoToken::Sign('{' | '[' | '<') => open += 1,
                ProtoToken::Sign('}' | ']' | '>') => open = open.checked_sub(1).ok_or("an option has no value")?,
                ProtoToken::Sign('-') => {
                    value.push(token);
                    continue;
                }
                ProtoToken::Sign(_) if open == 0 => return Err("an option has no value".to_owned()),
                _ => {}
            }
            value.push(token);
            if open == 0 {
                return Ok(ProtoOption { name, value });
            }
        }
    }

    /// The rest of a statement, as it stands.
    fn read_plain_statement(&mut self) -> Result<String, String> {
        let mut out = String::new();
        while !self.take_sign(';') {
            self.next_token()?.write_plain(&mut out);
            out.push(' ');
        }
        Ok(out)
    }
}
