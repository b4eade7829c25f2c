//! Whose request a proxy passes on. `X-Forwarded-For` is believed of trusted proxies only, from the right, as far as
//! they wrote it; what stands further left was written by the caller. `Forwarded` (RFC 7239) is not read: where a proxy
//! sets one of the two, the other is the caller's to write.

use super::listen::Listen;
use axum::http::HeaderMap;
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The rightmost address that is no trusted proxy, from `peer` on.
pub(super) fn address_behind(listen: &Listen, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut address = peer;
    let mut hops = headers.get_all(FORWARDED_FOR).iter().rev().flat_map(|value| {
        let hops = value.to_str().unwrap_or_default().rsplit(',');
        hops.map(|hop| hop.trim().parse::<IpAddr>().ok()).collect::<Vec<_>>()
    });
    while listen.trusts(address) {
        // A hop that is no address was written by nobody whom we trust.
        let Some(Some(hop)) = hops.next() else { break };
        address = hop.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::{Listen, address_behind};
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_counts() {
        let listen: Listen = toml::from_str(
            "address = \"0.0.0.0:8443\"\nplain_http = true\ntrusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\"]",
        )
        .unwrap();
        let table: [(&str, &[&str], &str); 10] = [
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, 10.1.1.1"], "192.0.2.7"),
            ("10.0.0.1", &["203.0.113.9", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7", "10.2.2.2,10.3.3.3"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["::ffff:192.0.2.7"], "192.0.2.7"),
            ("2001:db8::1", &["2001:db9::7"], "2001:db9::7"),
            ("192.0.2.66", &["203.0.113.9"], "192.0.2.66"),
        ];
        for (peer, values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            headers.append("forwarded", HeaderValue::from_static("for=203.0.113.200"));
            let found = address_behind(&listen, peer.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), expected, "{peer} {values:?}");
        }
    }
}
