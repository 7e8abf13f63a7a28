//! `@ipMatch`: the value is an address in one of the networks (`127.0.0.1,::1,10.0.0.0/8`).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// The networks.
#[derive(Clone, Debug)]
pub(super) struct IpMatch {
    networks: Arc<[IpNet]>,
}

impl IpMatch {
    /// Reads addresses and networks; at least one.
    pub(super) fn compile<'a>(items: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let networks = items.map(network).collect::<Result<Arc<[_]>, _>>()?;
        if networks.is_empty() {
            return Err("no address is named".into());
        }
        Ok(Self { networks })
    }

    /// Whether the value is an address in one of them. An IPv4 address in IPv6's clothes counts as itself.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
        address.is_some_and(|address| {
            let address = address.to_canonical();
            self.networks.iter().any(|network| network.contains(&address))
        })
    }
}

/// The items of a comma-separated list.
pub(super) fn items(argument: &str) -> impl Iterator<Item = &str> {
    argument.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn network(item: &str) -> Result<IpNet, String> {
    let network = match item.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => item.parse::<IpNet>(),
    };
    network.map_err(|_| format!("{item:?} is neither an address nor a network"))
}
