//! Which simulated host is where. Pure.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};

/// Addresses of the loopback network that follow each other, with one port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    first: Ipv4Addr,
    last: Ipv4Addr,
    port: u16,
}

impl Places {
    /// `count` of them, at least one.
    pub(crate) fn new(first: Ipv4Addr, port: u16, count: u32) -> Result<Self> {
        let last = Ipv4Addr::from_bits(first.to_bits().saturating_add(count.saturating_sub(1)));
        ensure!(
            first.is_loopback() && last.is_loopback() && count > 0,
            "{count} addresses from {first} on are not all in 127.0.0.0/8: choose another --first"
        );
        Ok(Self { first, last, port })
    }

    /// All of them, in order.
    pub(crate) fn addresses(self) -> impl Iterator<Item = SocketAddr> {
        let Self { first, last, port } = self;
        (first.to_bits()..=last.to_bits()).map(move |address| (Ipv4Addr::from_bits(address), port).into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ipv4Addr, Places, Result};

    #[test]
    fn addresses_follow_each_other_across_a_byte() -> Result<()> {
        let places = Places::new(Ipv4Addr::new(127, 1, 0, 254), 9101, 3)?;
        let found: Vec<String> = places.addresses().map(|address| address.to_string()).collect();
        assert_eq!(found, ["127.1.0.254:9101", "127.1.0.255:9101", "127.1.1.0:9101"]);
        Ok(())
    }

    #[test]
    fn no_address_is_outside_of_the_loopback_network() {
        let last = Ipv4Addr::new(127, 255, 255, 255);
        assert!(Places::new(last, 1, 1).is_ok());
        assert!(Places::new(last, 1, 2).is_err());
        assert!(Places::new(last, 1, 0).is_err());
        assert!(Places::new(Ipv4Addr::new(10, 0, 0, 1), 1, 1).is_err());
        assert!(Places::new(Ipv4Addr::BROADCAST, 1, u32::MAX).is_err());
    }
}
