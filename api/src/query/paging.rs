//! Paging and sorting, shared by all lists.

use tachi_engine::ports::registry::{Page, SortKey};

use super::Params;
use crate::error::{ApiError, marker_not_found};

const BAD_DIRECTION: &str = "Unknown sort direction, must be 'asc' or 'desc'";

/// The part of a [`Page`] that does not depend on the listed type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    sort: Vec<SortKey>,
    marker: Option<i64>,
    limit: u64,
}

impl Paging {
    /// Returns a page of the rows that match `filter`.
    pub(crate) fn of<F>(self, filter: F) -> Page<F> {
        Page {
            filter,
            sort: self.sort,
            marker: self.marker,
            limit: self.limit,
        }
    }
}

impl Params {
    /// Parses paging and sorting. Appended tie-breakers make every order total. `columns` are the sortable columns; `id_column`
    /// is the column behind the documented key `uuid`.
    pub(crate) fn paging(
        &self,
        columns: &[&str],
        id_column: &str,
        max_limit: u64,
    ) -> Result<Paging, ApiError> {
        // `page_size` is validated like `limit` and has no effect.
        self.limit("page_size", max_limit)?;
        Ok(Paging {
            limit: self.limit("limit", max_limit)?,
            marker: self.marker()?,
            sort: self.sort(columns, id_column)?,
        })
    }

    /// Returns the requested number of rows, limited to the operator's maximum.
    pub(crate) fn limit(&self, name: &str, max_limit: u64) -> Result<u64, ApiError> {
        let Some(text) = self.last(name).map(str::trim) else {
            return Ok(max_limit);
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::invalid_input(&format!("{name} must be an integer")));
        }
        // A number that overflows 64 bits exceeds the maximum too.
        let number = digits.parse().unwrap_or(u64::MAX);
        if negative && number > 0 {
            return Err(ApiError::invalid_input(&format!("{name} must be >= 0")));
        }
        Ok(number.min(max_limit))
    }

    fn marker(&self) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.last("marker") else {
            return Ok(None);
        };
        let strict = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(marker) if strict => Ok(Some(marker)),
            _ => Err(marker_not_found(text)),
        }
    }

    fn sort(&self, columns: &[&str], id_column: &str) -> Result<Vec<SortKey>, ApiError> {
        let mut keys: Vec<&str> = self.all("sort_key").map(str::trim).collect();
        if keys.is_empty() {
            keys.push("created_at");
        }
        let mut directions = Vec::new();
        for direction in self.all("sort_dir") {
            directions.push(match direction.trim() {
                "asc" => false,
                "desc" => true,
                _ => return Err(ApiError::invalid_input(BAD_DIRECTION)),
            });
        }
        if directions.len() > keys.len() {
            return Err(ApiError::invalid_input(
                "Sort direction size exceeds sort key size",
            ));
        }
        let first = directions.first().copied().unwrap_or(true);
        let mut directions = directions.into_iter();
        let mut sort: Vec<SortKey> = Vec::new();
        for key in keys {
            let descending = directions.next().unwrap_or(first);
            let column = if key == "uuid" { id_column } else { key };
            if !columns.contains(&column) {
                return Err(ApiError::bad_request("Sort key supplied was not valid."));
            }
            add(&mut sort, column, descending);
        }
        add(&mut sort, "created_at", first);
        add(&mut sort, "id", first);
        Ok(sort)
    }
}

/// Adds a sort key, unless the column is a key already: a repeated key has no effect.
fn add(sort: &mut Vec<SortKey>, column: &str, descending: bool) {
    if sort.iter().all(|key| key.column != column) {
        sort.push(SortKey {
            column: column.to_owned(),
            descending,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["id", "notification_uuid", "name", "created_at"];

    fn paging(query: &str) -> Result<Paging, String> {
        let pairs = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Params(pairs)
            .paging(COLUMNS, "notification_uuid", 1000)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn limits_and_markers() {
        let integer = "Invalid input received: limit must be an integer";
        let cases = [
            ("absent", "", Ok((1000, None))),
            ("given", "limit=5", Ok((5, None))),
            ("clamped", "limit=5000", Ok((1000, None))),
            (
                "clamped from afar",
                "limit=99999999999999999999999",
                Ok((1000, None)),
            ),
            ("zero", "limit=0", Ok((0, None))),
            ("last wins", "limit=5&limit=7", Ok((7, None))),
            ("blanks", "limit= 5 ", Ok((5, None))),
            ("empty", "limit=", Err(integer)),
            ("fraction", "limit=1.5", Err(integer)),
            ("text", "limit=x", Err(integer)),
            (
                "negative",
                "limit=-1",
                Err("Invalid input received: limit must be >= 0"),
            ),
            (
                "page size is checked",
                "page_size=x",
                Err("Invalid input received: page_size must be an integer"),
            ),
            ("page size means nothing", "page_size=1", Ok((1000, None))),
            ("marker", "marker=17", Ok((1000, Some(17)))),
            (
                "marker of text",
                "marker=1abc",
                Err("Marker 1abc could not be found."),
            ),
            ("marker, empty", "marker=", Err("Marker  could not be found.")),
            (
                "marker, signed",
                "marker=+1",
                Err("Marker +1 could not be found."),
            ),
            (
                "marker, huge",
                "marker=9223372036854775808",
                Err("Marker 9223372036854775808 could not be found."),
            ),
        ];
        for (name, query, expected) in cases {
            let got = paging(query).map(|paging| (paging.limit, paging.marker));
            assert_eq!(got, expected.map_err(ToOwned::to_owned), "{name}");
        }
    }

    #[test]
    fn sort_keys_and_directions() {
        let direction = "Invalid input received: Unknown sort direction, must be 'asc' or 'desc'";
        let cases = [
            ("default", "", Ok("-created_at -id")),
            ("key", "sort_key=name", Ok("-name -created_at -id")),
            (
                "one direction for all",
                "sort_key=name&sort_dir=asc",
                Ok("+name +created_at +id"),
            ),
            (
                "as the client writes name:asc,id",
                "sort_key=name&sort_key=id&sort_dir=asc&sort_dir=desc",
                Ok("+name -id +created_at"),
            ),
            (
                "fewer directions",
                "sort_key=name&sort_key=id&sort_dir=asc",
                Ok("+name +id +created_at"),
            ),
            ("direction alone", "sort_dir=asc", Ok("+created_at +id")),
            (
                "a key twice",
                "sort_key=name&sort_key=name&sort_dir=asc&sort_dir=desc",
                Ok("+name +created_at +id"),
            ),
            (
                "documented name",
                "sort_key=uuid",
                Ok("-notification_uuid -created_at -id"),
            ),
            (
                "unknown key",
                "sort_key=bogus",
                Err("Sort key supplied was not valid."),
            ),
            (
                "relationship",
                "sort_key=hosts",
                Err("Sort key supplied was not valid."),
            ),
            ("direction in capitals", "sort_dir=ASC", Err(direction)),
            ("direction, empty", "sort_dir=", Err(direction)),
            (
                "more directions than keys",
                "sort_key=name&sort_dir=asc&sort_dir=asc",
                Err("Invalid input received: Sort direction size exceeds sort key size"),
            ),
        ];
        for (name, query, expected) in cases {
            let got = paging(query).map(|paging| {
                let show =
                    |key: &SortKey| format!("{}{}", if key.descending { '-' } else { '+' }, key.column);
                paging.sort.iter().map(show).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(
                got,
                expected.map(ToOwned::to_owned).map_err(ToOwned::to_owned),
                "{name}"
            );
        }
    }
}
