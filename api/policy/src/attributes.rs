//! Attributes of the caller and of the target of a request.

use std::borrow::Cow;

use serde_json::Value;

use crate::python;

/// Named values: of the caller, or of what the request is about.
///
/// Only what a rule asks for is made, so an implementation can build values on the way.
pub trait Attributes {
    /// The value of this name; `None` if there is none of this name, null if it is empty.
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// True if the caller has this role, ignoring case.
    fn has_role(&self, role: &str) -> bool {
        let Some(roles) = self.attribute("roles") else {
            return false;
        };
        let mut roles = roles.as_array().into_iter().flatten().filter_map(Value::as_str);
        roles.any(|held| python::same_but_for_case(held, role))
    }

    /// True for an administrator; `None` while the admin rule is being evaluated.
    fn is_admin(&self) -> Option<bool> {
        self.attribute("is_admin").and_then(|value| value.as_bool())
    }
}

/// An object as it is; anything else has no attributes.
impl Attributes for Value {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }
}
