//! Which families a page shows: all, or those that a query names, as `name[]=METRIC` and `collect[]=GROUP`.

use super::catalog::{Family, GROUPS, families};

/// Families that the table may have.
const ROOM: usize = 64 * WORDS;
const WORDS: usize = 4;
/// Names in one query. More than there are metrics is a mistake, or malice.
const MOST_NAMES: usize = ROOM;
/// As much of an unknown name is repeated to the client.
const SHOWN: usize = 80;

/// A set of families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter([u64; WORDS]);

/// Why a query cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// `name[]` is not in the catalogue.
    #[error("there is no metric {name:?}; /metrics without a query shows all there are")]
    Metric {
        /// As asked for, shortened.
        name: String,
    },
    /// `collect[]` is not in the catalogue.
    #[error("there is no group {name:?}; the groups are {}", groups())]
    Group {
        /// As asked for, shortened.
        name: String,
    },
    /// More names than anyone can mean.
    #[error("the query has more than {MOST_NAMES} names; ask for groups, or for everything")]
    TooMany,
}

fn groups() -> String {
    GROUPS.iter().map(|group| group.name).collect::<Vec<_>>().join(", ")
}

fn shortened(name: &str) -> String {
    name.chars().take(SHOWN).collect()
}

impl Filter {
    /// Every family.
    pub const ALL: Self = Self([u64::MAX; WORDS]);
    const NONE: Self = Self([0; WORDS]);

    /// The families that the query of a URL asks for; without `name[]` and `collect[]`, all. Other keys mean nothing.
    ///
    /// # Errors
    /// It asks for something that does not exist.
    pub fn from_query(query: Option<&str>) -> Result<Self, UnknownName> {
        let mut filter = Self::NONE;
        let mut names = 0;
        for (key, name) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let found = match &*key {
                "name[]" => filter.add(|_, family| family.name == name),
                "collect[]" => filter.add(|group, _| group == name),
                _ => continue,
            };
            names += 1;
            if names > MOST_NAMES {
                return Err(UnknownName::TooMany);
            }
            if !found {
                let shown = shortened(&name);
                let metric = key == "name[]";
                return Err(if metric {
                    UnknownName::Metric { name: shown }
                } else {
                    UnknownName::Group { name: shown }
                });
            }
        }
        Ok(if names == 0 { Self::ALL } else { filter })
    }

    /// The chosen families, in the order of the page.
    pub fn families(self) -> impl Iterator<Item = &'static Family> {
        families().enumerate().filter(move |(number, _)| self.has(*number)).map(|(_, family)| family)
    }

    fn has(self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds families by their group's name and themselves; tells whether there was one.
    fn add(&mut self, wanted: impl Fn(&str, &Family) -> bool) -> bool {
        let all = GROUPS.iter().flat_map(|group| group.families.iter().map(|family| (group.name, family)));
        let mut found = false;
        for (number, (group, family)) in all.enumerate() {
            if wanted(group, family)
                && let Some(word) = self.0.get_mut(number / 64)
            {
                *word |= 1 << (number % 64);
                found = true;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::{any, prop_assert, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{Filter, GROUPS, MOST_NAMES, ROOM, UnknownName, families};

    fn names(query: &str) -> Result<Vec<&'static str>, UnknownName> {
        Ok(Filter::from_query(Some(query))?.families().map(|family| family.name).collect())
    }

    #[test]
    fn the_table_fits_into_a_filter() {
        assert!(families().count() <= ROOM);
    }

    #[test]
    fn without_names_there_is_everything() {
        assert_eq!(Filter::from_query(None), Ok(Filter::ALL));
        for query in ["", "x=1", "debug&name=uidmeter_users"] {
            assert_eq!(names(query).map(|names| names.len()), Ok(families().count()), "{query}");
        }
    }

    #[test]
    fn names_and_groups_add_up_in_the_order_of_the_page() {
        let found = names("name[]=uidmeter_users&collect%5B%5D=memory&name%5b%5d=uidmeter_cpu_seconds%5Ftotal");
        let expected: Vec<_> = GROUPS
            .iter()
            .flat_map(|group| group.families.iter().map(move |family| (group, family.name)))
            .filter(|(group, name)| {
                group.name == "memory" || ["uidmeter_users", "uidmeter_cpu_seconds_total"].contains(name)
            })
            .map(|(_, name)| name)
            .collect();
        assert!(expected.len() >= 3);
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn what_does_not_exist_is_named_in_one_sentence() {
        let error = |query: &str| names(query).map_err(|error| error.to_string());
        assert_eq!(
            error("name[]=uidmeter_users&name[]=node%0Aload1"),
            Err("there is no metric \"node\\nload1\"; /metrics without a query shows all there are".into())
        );
        assert_eq!(
            error("collect[]=gpu").map_err(|error| error.split_inclusive("are ").next().map(str::to_owned)),
            Err(Some("there is no group \"gpu\"; the groups are ".into()))
        );
        assert_eq!(error("collect[]=").map_err(|error| error.contains("no group \"\"")), Err(true));
        let long = error(&format!("name[]={}", "x".repeat(10_000)));
        assert!(long.is_err_and(|error| error.len() < 200));
    }

    #[test]
    fn too_many_names_are_refused() {
        let query = |names| vec!["name[]=uidmeter_users"; names].join("&");
        assert_eq!(names(&query(MOST_NAMES)), Ok(vec!["uidmeter_users"]));
        assert_eq!(names(&query(MOST_NAMES + 1)), Err(UnknownName::TooMany));
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn any_query_is_answered(query in any::<String>()) {
            if let Err(error) = Filter::from_query(Some(&query)) {
                prop_assert!(!error.to_string().contains('\n'));
            }
            let asked = Filter::from_query(Some(&format!("{query}&collect[]=cpu")));
            if let Ok(filter) = asked {
                prop_assert!(filter.families().count() >= GROUPS[0].families.len());
                prop_assert_eq!(filter.families().next().map(|family| family.name), Some(GROUPS[0].families[0].name));
            }
        }
    }
}
