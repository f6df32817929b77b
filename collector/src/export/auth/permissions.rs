//! What may be allowed.

use std::fmt;

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `metrics:read`: scrape.
    MetricsRead,
    /// `api:read`: read through the API.
    ApiRead,
    /// `limits:write`: change limits.
    LimitsWrite,
}

impl Permission {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::MetricsRead, Self::ApiRead, Self::LimitsWrite];

    /// As configuration and tokens spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MetricsRead => "metrics:read",
            Self::ApiRead => "api:read",
            Self::LimitsWrite => "limits:write",
        }
    }

    /// The permission of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Read metrics and the API, what somebody may of whom nothing else is said.
    pub const READ: Self = Self::NONE.with(Permission::MetricsRead).with(Permission::ApiRead);

    /// These and one more.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u8)
    }

    /// All of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is among them.
    pub const fn allow(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u8 != 0
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<T: IntoIterator<Item = Permission>>(permissions: T) -> Self {
        permissions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Permission::ALL.into_iter().filter(|permission| self.allow(*permission));
        f.debug_set().entries(held.map(Permission::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Permissions};

    #[test]
    fn a_permission_does_not_bring_another() {
        for one in Permission::ALL {
            let held = Permissions::NONE.with(one);
            for other in Permission::ALL {
                assert_eq!(held.allow(other), one == other, "{held:?} {other:?}");
            }
            assert_eq!(Permission::of_name(one.name()), Some(one));
        }
        assert!(!Permissions::READ.allow(Permission::LimitsWrite));
        assert_eq!(Permission::of_name("Metrics:Read"), None);
    }
}
