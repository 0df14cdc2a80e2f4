//! What an operator may choose about tokens.

/// `[keystone_authtoken]`: which tokens are taken for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// `service_token_roles`: any of these makes a token a service's.
    pub service_roles: Vec<String>,
    /// `service_token_roles_required`: a service token without such a role is refused. Otherwise it is only of no use.
    pub service_roles_required: bool,
    /// `service_type`: our own in access rules of application credentials. Without it such tokens are refused.
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
