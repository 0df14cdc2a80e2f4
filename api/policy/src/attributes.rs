//! Attributes of the caller and of the target of a request.

use std::borrow::Cow;

use serde_json::Value;

use crate::python;

/// Named values of the caller or of the target.
///
/// The evaluation reads only the attributes that a rule names, so an implementation can build them on demand.
pub trait Attributes {
    /// Returns the value of this name: `None` if the name is unknown, null if the value is empty.
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// True if the caller has this role, ignoring case.
    fn has_role(&self, role: &str) -> bool {
        let Some(roles) = self.attribute("roles") else {
            return false;
        };
        let mut roles = roles.as_array().into_iter().flatten().filter_map(Value::as_str);
        roles.any(|own_role| python::same_but_for_case(own_role, role))
    }

    /// True for an administrator; `None` while the admin rule is being evaluated.
    fn is_admin(&self) -> Option<bool> {
        self.attribute("is_admin").and_then(|value| value.as_bool())
    }
}

/// A JSON object has its members as attributes; any other JSON value has none.
impl Attributes for Value {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }
}
