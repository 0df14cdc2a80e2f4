//! Query parameters.

mod paging;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

use crate::datetime;
use crate::error::ApiError;
use crate::state::ApiState;
use tachi_domain::Timestamp;

/// The parameters in the order given. Unknown ones are ignored, because existing clients send some.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequestParts<ApiState> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let Query(pairs): Query<Vec<(String, String)>> =
            Query::try_from_uri(&parts.uri).map_err(|_| ApiError::invalid_input("malformed query string"))?;
        // No database stores a NUL in a text, and PostgreSQL does not even compare with one.
        if pairs.iter().any(|(_, value)| value.contains('\0')) {
            return Err(ApiError::invalid_input("a query parameter holds a NUL character"));
        }
        Ok(Self(pairs))
    }
}

/// The spellings of true in a query; case does not matter.
pub(crate) const TRUE_SPELLINGS: &[&str] = &["1", "on", "t", "true", "y", "yes"];
/// The spellings of false.
pub(crate) const FALSE_SPELLINGS: &[&str] = &["0", "f", "false", "n", "no", "off"];
/// All spellings, in the list that clients know from Masakari.
const BOOLEAN_SPELLINGS: &str = "'0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'";

impl Params {
    /// Returns the value of `name`; the last one if there are several.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns [`Params::last`] as an owned text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.last(name).map(ToOwned::to_owned)
    }

    /// Returns all values of `name`.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Parses `name` as a boolean.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.last(name) else {
            return Ok(None);
        };
        let text = value.trim().to_ascii_lowercase();
        if TRUE_SPELLINGS.contains(&text.as_str()) {
            Ok(Some(true))
        } else if FALSE_SPELLINGS.contains(&text.as_str()) {
            Ok(Some(false))
        } else {
            Err(ApiError::bad_request(format!(
                "Invalid value for {name}: Unrecognized value '{value}', acceptable values are: {BOOLEAN_SPELLINGS}"
            )))
        }
    }

    /// Parses `name` as a time.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.last(name) else {
            return Ok(None);
        };
        match datetime::parse(value) {
            Some(time) => Ok(Some(time)),
            None => Err(ApiError::bad_request(format!("Invalid {name} value"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_booleans() {
        let cases = [
            ("1 t true on y yes T TRUE On YES", Some(true)),
            ("0 f false n no off F FALSE No Off", Some(false)),
            ("2 oui truefalse tru - 01", None),
        ];
        for (spellings, expected) in cases {
            for text in spellings.split(' ') {
                let params = Params(vec![("reserved".to_owned(), text.to_owned())]);
                assert_eq!(params.boolean("reserved").ok().flatten(), expected, "{text}");
            }
        }
        assert!(Params::default().boolean("reserved").unwrap().is_none());
    }
}
