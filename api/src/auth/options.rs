//! Configuration of token validation.

/// `[keystone_authtoken]`: options for accepting tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// `service_token_roles`: a token with any of these roles is a service token.
    pub service_roles: Vec<String>,
    /// `service_token_roles_required`: if true, a service token without such a role is refused. If false, it is accepted,
    /// but does not extend the validity of the user's token.
    pub service_roles_required: bool,
    /// `service_type`: Tachi's service type in access rules of application credentials. Without it such tokens are refused.
    pub service_type: Option<String>,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            service_roles: vec!["service".to_owned()],
            service_roles_required: true,
            service_type: None,
        }
    }
}
