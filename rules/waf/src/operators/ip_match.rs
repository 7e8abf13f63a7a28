//! `@ipMatch`: the value is an address in one of the networks (`127.0.0.1,::1,10.0.0.0/8`).
//!
//! Networks are kept as ranges that are sorted and do not overlap, so that a list of a hundred thousand costs a search of
//! some twenty steps.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use palisade_model::network;

/// Addresses and networks of one rule's list. The longest public block lists have about half as many; so many IPv6
/// networks take 8 MiB.
pub(super) const NETWORKS: usize = 262_144;

/// The networks.
#[derive(Clone, Debug)]
pub(super) struct IpMatch {
    v4: Arc<[(u32, u32)]>,
    v6: Arc<[(u128, u128)]>,
}

impl IpMatch {
    /// Reads addresses and networks; at least one, at most [`NETWORKS`].
    pub(super) fn compile<'a>(items: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (number, item) in items.enumerate() {
            if number == NETWORKS {
                return Err(format!("the list has more than {NETWORKS} addresses and networks"));
            }
            match network(item)? {
                IpNet::V4(network) => v4.push((network.network().into(), network.broadcast().into())),
                IpNet::V6(network) => v6.push((network.network().into(), network.broadcast().into())),
            }
        }
        if v4.is_empty() && v6.is_empty() {
            return Err("no address is named".into());
        }
        Ok(Self { v4: merged(v4), v6: merged(v6) })
    }

    /// Whether the value is an address in one of them. An IPv4 address in IPv6's clothes counts as itself.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => contains(&self.v4, address.into()),
            Some(IpAddr::V6(address)) => contains(&self.v6, address.into()),
            None => false,
        }
    }
}

/// Sorted, and those that overlap made one.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Arc<[(T, T)]> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
    ranges.into()
}

fn contains<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

/// The items of a comma-separated list.
pub(super) fn items(argument: &str) -> impl Iterator<Item = &str> {
    argument.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The truth: one after the other.
    fn linear(items: &[String], address: IpAddr) -> bool {
        items.iter().any(|item| network(item).unwrap().contains(&address.to_canonical()))
    }

    /// Addresses of a small space, so that networks overlap, touch and repeat, and its two ends.
    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = prop_oneof![0..64u32, (u32::MAX - 64)..=u32::MAX];
        let v6 =
            prop_oneof![0..64u128, (u128::MAX - 64)..=u128::MAX, (0xffff << 32)..(0xffff << 32) + 64u128];
        prop_oneof![v4.prop_map(|bits| IpAddr::V4(bits.into())), v6.prop_map(|bits| IpAddr::V6(bits.into()))]
    }

    fn item() -> impl Strategy<Value = String> {
        (address(), any::<bool>(), 0..7u8).prop_map(|(address, alone, wide)| match (address, alone) {
            (address, true) => address.to_string(),
            (IpAddr::V4(_), false) => format!("{address}/{}", 32 - wide),
            (IpAddr::V6(_), false) => format!("{address}/{}", 128 - wide),
        })
    }

    proptest! {
        #[test]
        fn sorted_ranges_say_what_a_linear_search_says(
            items in prop::collection::vec(item(), 1..24),
            asked in prop::collection::vec(address(), 1..24),
        ) {
            let compiled = IpMatch::compile(items.iter().map(String::as_str)).unwrap();
            for address in asked {
                prop_assert_eq!(compiled.matches(address.to_string().as_bytes()), linear(&items, address), "{}", address);
            }
        }
    }

    #[test]
    fn a_list_is_limited_under_at_and_over_its_entries() {
        for (count, fits) in [(NETWORKS - 1, true), (NETWORKS, true), (NETWORKS + 1, false)] {
            let compiled = IpMatch::compile(std::iter::repeat_n("10.0.0.0/8", count));
            assert_eq!(compiled.is_ok(), fits, "{count}");
            if let Ok(compiled) = compiled {
                assert_eq!(compiled.v4.len(), 1, "the same again takes no room");
            }
        }
    }
}
