//! The one reading of an address or a CIDR block in a policy, a rule or a data file.
//!
//! It is stricter than `ipnet`'s: `010.0.0.0/8` is 8.0.0.0/8 for a reader of octal numbers and 10.0.0.0/8 for another
//! (the class of CVE-2021-29922), and a list that two programs read differently protects neither.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`. Bits behind the prefix are let be.
///
/// Addresses are compared in their IPv4 form where they have one, so `::ffff:192.0.2.0/120` is `192.0.2.0/24`; a shorter
/// prefix of an IPv4-mapped address is refused, since it would match no address that it seems to name.
pub fn network(text: &str) -> Result<IpNet, String> {
    let wrong = || format!("{text:?} is neither an IP address nor a CIDR block");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let Some(prefix) = prefix else { return Ok(IpNet::from(address.to_canonical())) };
    let bits: u8 = prefix.parse().map_err(|_| wrong())?;
    // Neither a sign nor zeros in front.
    if bits.to_string() != prefix {
        return Err(wrong());
    }
    match (address, address.to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => match bits.checked_sub(MAPPED_BITS) {
            Some(bits) => Ipv4Net::new(v4, bits).map(IpNet::V4).map_err(|_| wrong()),
            None => Err(format!(
                "{text:?} is an IPv4 address in IPv6 form with a prefix under /{MAPPED_BITS}: it would match no IPv4 address"
            )),
        },
        (address, _) => IpNet::new(address, bits).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn an_address_or_a_block_is_read_in_its_usual_form() {
        for (text, read) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.7/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.7/24"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for text in [
            "010.0.0.1",
            "010.0.0.0/8",
            "096.0.2.0/24",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "/8",
            "",
            "10.0.0/8",
            "10/8",
            "0x0a.0.0.0/8",
            "10.0.0.0/8/8",
            "10.0.0.0 /8",
            "10.0.0.0/256",
            "fe80::1%eth0/64",
            "::ffff:192.0.2.7/95",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
