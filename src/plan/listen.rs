//! Addresses to listen on: loopback unless another one is written out.

use std::net::{Ipv4Addr, SocketAddr};

use crate::base::Trouble;
use crate::base::sanitise::quoted_name;

/// Where the metrics are served when only "serve them" is said. The port is the usual one of exporters that come with a
/// program of their own.
pub(crate) const METRICS: &str = "127.0.0.1:9464";

/// `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`, or a port alone, which is one of this host only. Port 0 is any free
/// one.
///
/// # Errors
/// It is none of these: what was written, and what can be.
pub(crate) fn parse_listen_address(text: &str) -> Result<SocketAddr, Trouble> {
    let port = |text: &str| text.parse::<u16>().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let trimmed = text.trim();
    let found = trimmed.parse().ok().or_else(|| port(trimmed));
    found.or_else(|| trimmed.strip_prefix("localhost:").and_then(port)).ok_or_else(|| {
        let shown = quoted_name(&trimmed.chars().take(60).collect::<String>());
        let advice = format!("write \"{METRICS}\", a port alone, or the address of one of this host's interfaces");
        Trouble::new(format!("{shown} is no address to listen on"), advice)
    })
}

/// What has to be said of an address that others can reach; `None` of loopback.
#[must_use]
pub(crate) fn exposure_trouble(address: SocketAddr) -> Option<Trouble> {
    // An IPv4 address within an IPv6 one (`::ffff:127.0.0.1`) is loopback too.
    (!address.ip().to_canonical().is_loopback()).then(|| {
        Trouble::new(
            format!("whoever reaches {address} reads every name and number of the migration: there is no password"),
            "use 127.0.0.1 and a proxy that asks for one, or let a firewall choose who reaches it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_unless_another_address_is_written_out() {
        let read = |text: &str| parse_listen_address(text).map(|a| (a.to_string(), exposure_trouble(a).is_some()));
        assert_eq!(read("9464"), Ok(("127.0.0.1:9464".into(), false)));
        assert_eq!(read("localhost:0"), Ok(("127.0.0.1:0".into(), false)));
        assert_eq!(read(METRICS), Ok((METRICS.into(), false)));
        assert_eq!(read("[::1]:9464"), Ok(("[::1]:9464".into(), false)));
        assert_eq!(read("[::ffff:127.0.0.1]:1"), Ok(("[::ffff:127.0.0.1]:1".into(), false)));
        assert_eq!(read("0.0.0.0:9464"), Ok(("0.0.0.0:9464".into(), true)));
        assert_eq!(read("[::]:9464"), Ok(("[::]:9464".into(), true)));
        for bad in ["", ":9464", "host:9464", "127.0.0.1", "http://127.0.0.1:9464", "70000", "-1", "a\u{1b}[2J"] {
            let trouble = parse_listen_address(bad).unwrap_err();
            assert!(trouble.what.contains("no address") && !trouble.what.contains('\u{1b}'), "{trouble:?}");
        }
    }
}
