//! Bootstrap addresses as people write them.

use crate::migration::estate::Trouble;
use crate::sanitise::visible;

/// Addresses as in `bootstrap.servers`: comma-separated `host:port`, IPv6 in brackets, librdkafka's `PROTOCOL://` allowed.
pub(super) fn parse_bootstrap(text: &str) -> Result<Vec<(String, u16)>, Trouble> {
    let parts: Vec<_> = text.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() {
        return Err(Trouble::new("no bootstrap address is given", "set `bootstrap = \"host:port,host:port\"`"));
    }
    parts.into_iter().map(parse_address).collect()
}

fn parse_address(text: &str) -> Result<(String, u16), Trouble> {
    let bad = |why: &str| {
        let advice = "write `host:port`, `[v6-address]:port`, or several of them separated by commas";
        Trouble::new(format!("bootstrap address `{}`: {why}", visible(text)), advice)
    };
    let rest = match text.split_once("://") {
        Some((scheme, _)) if scheme.to_ascii_lowercase().starts_with("http") => {
            return Err(bad("that is a web address, and Kafka does not speak HTTP"));
        }
        Some((_, rest)) => rest,
        None => text,
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => v6.split_once("]:").ok_or_else(|| bad("`]:port` is missing"))?,
        None => rest.rsplit_once(':').ok_or_else(|| bad("the port is missing"))?,
    };
    let port: u16 = port.parse().ok().filter(|p| *p > 0).ok_or_else(|| bad("the port must be from 1 to 65535"))?;
    let sound = |c: char| !c.is_control() && !c.is_whitespace() && c != '/';
    if host.is_empty() || !host.chars().all(sound) {
        return Err(bad("the host is missing or has characters that no host has"));
    }
    if !rest.starts_with('[') && host.contains(':') {
        return Err(bad(match host.parse::<std::net::Ipv6Addr>() {
            Ok(_) => "an IPv6 address needs brackets",
            Err(_) => "it has more than one port: a comma stands between two addresses",
        }));
    }
    if host.contains([';', '|']) {
        return Err(bad("a comma stands between two addresses"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_addresses() {
        let ok = |t: &str| parse_bootstrap(t).unwrap();
        assert_eq!(ok("a:1, b:2,"), [("a".into(), 1), ("b".into(), 2)]);
        assert_eq!(ok("[::1]:9092"), [("::1".into(), 9092)]);
        assert_eq!(ok("SASL_SSL://k.example.com:9093"), [("k.example.com".into(), 9093)]);
        for bad in
            ["", " , ", "host", "host:", "host:0", "host:70000", ":9092", "::1:9092", "http://x:80", "a b:1", "[::1"]
        {
            assert!(parse_bootstrap(bad).is_err(), "{bad}");
        }
        let why = |t: &str| parse_bootstrap(t).unwrap_err().what;
        assert!(why("::1:9092").contains("IPv6"), "{}", why("::1:9092"));
        for slip in ["a:1;b:2", "a:1 b:2", "a:1|b:2", "a;b:2", "a:1:b:2"] {
            assert!(!why(slip).contains("IPv6"), "{}", why(slip));
        }
        assert!(!parse_bootstrap("x\x1b[2J:0").unwrap_err().what.contains('\x1b'));
    }
}
