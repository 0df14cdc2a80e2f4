//! What the routes know but nobody may do.

use http::Method;

use crate::error::ApiError;

/// Lists what cannot be listed.
pub(crate) async fn index(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "index",
    }
}

/// Creates what cannot be created.
pub(crate) async fn create(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "create",
    }
}

/// Changes what cannot be changed.
pub(crate) async fn update(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "update",
    }
}

/// Deletes what cannot be deleted.
pub(crate) async fn delete(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "delete",
    }
}
