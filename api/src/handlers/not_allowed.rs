//! Routes that exist but are never allowed, for compatibility with Masakari.

use http::Method;

use crate::error::ApiError;

/// Refuses to list a resource.
pub(crate) async fn index(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "index",
    }
}

/// Refuses to create a resource.
pub(crate) async fn create(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "create",
    }
}

/// Refuses to update a resource.
pub(crate) async fn update(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "update",
    }
}

/// Refuses to delete a resource.
pub(crate) async fn delete(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "delete",
    }
}

/// Refuses a creation form. The route is a remnant of web pages in Masakari's resource router.
pub(crate) async fn new(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "new",
    }
}

/// Refuses an edit form.
pub(crate) async fn edit(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "edit",
    }
}

/// Refuses an action; the resource has none.
pub(crate) async fn action(method: Method) -> ApiError {
    ApiError::MethodNotAllowed {
        method,
        action: "action",
    }
}
