//! Addresses of a cluster as people write them (`bootstrap`): one reading for the plan, for the arguments of `init`, and
//! for the control plane.

use super::reader::quoted_name;
use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_text};

/// Longest list of addresses, bytes.
const LONGEST: usize = 64 * 1024;

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was written.
    pub text: String,
    /// A name or an IP address; an IPv6 address without its brackets.
    pub host: String,
    /// From 1 to 65535.
    pub port: u16,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongAddress {
    /// What is wrong, whatever the address.
    pub why: &'static str,
    /// The same in a sentence with the address, made visible; what may hold a password is not repeated.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// The addresses of `a:9092,[::1]:9092`, and what is wrong with the others.
#[must_use]
pub(crate) fn parse_list(text: &str) -> (Vec<Address>, Vec<WrongAddress>) {
    if text.len() > LONGEST {
        let message = "the list of addresses is longer than 64 KiB".to_owned();
        return (Vec::new(), vec![WrongAddress { why: "the list is too long", message, suggestion: None }]);
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for address in text.split(',').map(str::trim) {
        match parse_address(address) {
            Ok((host, port)) => good.push(Address { text: address.to_owned(), host, port }),
            // where it stands is all that can be said of it
            Err(wrong) if address.is_empty() => {
                bad.push(WrongAddress { message: format!("an empty address in {}", quoted_name(text)), ..wrong });
            }
            Err(wrong) => bad.push(wrong),
        }
    }
    (good, bad)
}

/// The hosts and ports of a whole list.
///
/// # Errors
/// There is none in it, or what is wrong with the first text that is none.
pub(crate) fn parse_hosts(text: &str) -> Result<Vec<(String, u16)>, Trouble> {
    if text.trim().is_empty() {
        return Err(Trouble::new("no bootstrap address is given", "set `bootstrap = \"host:port,host:port\"`"));
    }
    let (good, bad) = parse_list(text);
    match bad.into_iter().next() {
        None => Ok(good.into_iter().map(|a| (a.host, a.port)).collect()),
        Some(WrongAddress { why, message, suggestion }) => {
            let hint = suggestion.map_or_else(String::new, |hint| format!(": {hint}"));
            Err(Trouble::new(format!("a bootstrap address can't be used: {why}"), format!("{message}{hint}")))
        }
    }
}

fn parse_address(address: &str) -> Result<(String, u16), WrongAddress> {
    let shown = quoted_name(address);
    let wrong =
        |why, message: String, suggestion: String| Err(WrongAddress { why, message, suggestion: Some(suggestion) });
    if address.contains('@') {
        // not repeated: a password may stand there
        let hint = "write \"HOST:PORT\"; who connects is said by \"sasl.username\" and \"sasl.password\" under client";
        return wrong("it holds credentials", "an address holds no credentials".to_owned(), hint.to_owned());
    }
    if address.is_empty() {
        return wrong("it is empty", String::new(), "write \"HOST:PORT\"".to_owned());
    }
    if let Some((_, rest)) = address.split_once("://") {
        let hint = format!("write {}, and \"security.protocol\" under client", quoted_name(rest.trim_end_matches('/')));
        return wrong("it is a URL", format!("{shown} is a URL, not an address"), hint);
    }
    let between = |c: char| matches!(c, ';' | '|') || c.is_whitespace();
    if address.contains(between) {
        let parts: Vec<&str> = address.split(between).filter(|p| !p.is_empty()).collect();
        let why = "a comma stands between two addresses";
        return wrong(why, format!("{shown}: {why}"), format!("write {}", quoted_name(&parts.join(","))));
    }
    let bracketed = address.starts_with('[');
    let (host, port) = match address.rsplit_once(':') {
        Some((h, _)) if !bracketed && h.contains(':') && h.parse::<std::net::Ipv6Addr>().is_err() => {
            let hint = "write \"HOST:PORT\", with a comma between two".to_owned();
            return wrong("it has more than one port", format!("{shown} has more than one port"), hint);
        }
        // `::1:9092` is an address with a port as well as an address without: nobody guesses which.
        Some((h, p)) if !bracketed && h.contains(':') => {
            let why = "an IPv6 address needs brackets";
            return wrong(
                why,
                format!("{shown}: {why}"),
                format!("write \"[{}]:{}\"", visible_name(h), visible_name(p)),
            );
        }
        Some((h, p)) if !bracketed || h.ends_with(']') => (h, p),
        _ => {
            let hint = format!("write \"{}:9092\"", visible_name(address));
            return wrong("the port is missing", format!("{shown} has no port"), hint);
        }
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || bare.contains('/') || visible_text(bare) != bare {
        let hint = "write \"HOST:PORT\"".to_owned();
        return wrong("it has no usable host name", format!("{shown} has no usable host name"), hint);
    }
    match port.parse::<u16>() {
        Ok(number @ 1..) => Ok((bare.to_owned(), number)),
        _ => {
            let message = format!("{shown}: {} is not a port number (1 to 65535)", quoted_name(port));
            wrong("the port must be from 1 to 65535", message, format!("write \"{}:9092\"", visible_name(host)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_one_way() {
        let ok = |text: &str| {
            let (good, bad) = parse_list(text);
            assert_eq!(bad, [], "{text}");
            good.into_iter().map(|a| (a.text, a.host, a.port)).collect::<Vec<_>>()
        };
        let of = |text: &str, host: &str, port| (text.to_owned(), host.to_owned(), port);
        assert_eq!(ok("a:1, b:2"), [of("a:1", "a", 1), of("b:2", "b", 2)]);
        assert_eq!(ok("[::1]:9092"), [of("[::1]:9092", "::1", 9092)]);
        for bad in [
            "",
            " , ",
            "a:1,",
            "host",
            "host:",
            "host:0",
            "host:70000",
            ":9092",
            "::1:9092",
            "http://x:80",
            "a b:1",
            "[::1",
            "[]:1",
            "SASL_SSL://k:9093",
            "a/b:1",
            "a\u{200b}:1",
            "u:p@h:1",
        ] {
            assert!(!parse_list(bad).1.is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_used_as_a_whole_or_not_at_all() {
        assert_eq!(parse_hosts("a:1,[::1]:9092").unwrap(), [("a".to_owned(), 1), ("::1".to_owned(), 9092)]);
        assert_eq!(parse_hosts(" ").unwrap_err().what, "no bootstrap address is given");
        let none = parse_hosts("a:1,blue-1").unwrap_err();
        assert_eq!(none.what, "a bootstrap address can't be used: the port is missing");
        assert_eq!(none.advice, "\"blue-1\" has no port: write \"blue-1:9092\"");
    }

    #[test]
    fn what_is_wrong_is_said_as_it_is() {
        let why = |text: &str| parse_list(text).1.remove(0);
        assert_eq!(why("::1:9092").why, "an IPv6 address needs brackets");
        for slip in ["a:1;b:2", "a:1 b:2", "a:1|b:2", "a;b:2"] {
            assert_eq!(why(slip).why, "a comma stands between two addresses", "{slip}");
        }
        assert_eq!(why("a:1:b:2").why, "it has more than one port");
        assert_eq!(why("blue-1").message, "\"blue-1\" has no port");
        assert!(!format!("{:?}", why("x\x1b[2J:0")).contains('\x1b'));
        assert!(!format!("{:?}", why("app:c4nary@h:1")).contains("c4nary"), "a password may stand there");
        assert_eq!(parse_list(&"a:1,".repeat(LONGEST)).1.len(), 1);
    }
}
