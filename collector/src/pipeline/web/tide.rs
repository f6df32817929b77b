//! When a flood of connections is over. Pure.

/// Fewer leave nothing behind that is worth a look.
const FLOOD: usize = 64;

/// How high it has been.
#[derive(Debug, Default)]
pub(super) struct Tide(usize);

impl Tide {
    /// Whether with `connections` now, most of a flood has gone since the last time this was so.
    pub(super) fn has_ebbed(&mut self, connections: usize) -> bool {
        self.0 = self.0.max(connections);
        let ebbed = self.0 >= FLOOD && connections <= self.0 / 4;
        if ebbed {
            self.0 = connections;
        }
        ebbed
    }
}

#[cfg(test)]
mod tests {
    use super::Tide;

    #[test]
    fn a_flood_ends_once_and_ripples_are_none() {
        let mut tide = Tide::default();
        let told: Vec<bool> =
            [0, 63, 0, 400, 300, 101, 100, 3, 40, 3, 64, 17, 16, 0].map(|now| tide.has_ebbed(now)).into();
        let expected = [false, false, false, false, false, false, true, true, false, false, false, false, true, false];
        assert_eq!(told, expected);
    }
}
