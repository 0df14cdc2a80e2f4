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

/// Asks for a form to create something with: what is left of web pages in Masakari's resource router.
pub(crate) async fn new(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "new",
    }
}

/// Asks for a form to change something with.
pub(crate) async fn edit(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "edit",
    }
}

/// Asks for an action; there are none.
pub(crate) async fn action(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "action",
    }
}
