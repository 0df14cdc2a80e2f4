//! The users and projects of the region, with the same ids in Keystone and Nova.

use uuid::Uuid;

/// A user and the project it works in.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) user_id: String,
    pub(crate) user: &'static str,
    pub(crate) project: &'static str,
    pub(crate) roles: &'static [&'static str],
}

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: &'static str,
}

/// All users and projects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenants {
    pub(crate) projects: Vec<Project>,
    pub(crate) users: Vec<Tenant>,
}

const ADMIN: &[&str] = &["admin", "manager", "member", "reader"];

impl Tenants {
    pub(crate) fn new(mut random: impl FnMut() -> [u8; 16]) -> Self {
        let mut id = move || {
            uuid::Builder::from_random_bytes(random())
                .into_uuid()
                .simple()
                .to_string()
        };
        let projects = ["admin", "demo", "service"]
            .map(|name| Project { id: id(), name })
            .into();
        let users = [
            ("admin", "admin", ADMIN),
            ("demo", "demo", &["member", "reader"] as &[&str]),
            ("masakari", "service", &["admin", "service"]),
            ("nova", "service", &["admin", "service"]),
            ("masakari-monitor", "service", &["masakari_monitor"]),
        ]
        .map(|(user, project, roles)| Tenant {
            user_id: id(),
            user,
            project,
            roles,
        })
        .into();
        Self { projects, users }
    }

    pub(crate) fn project_id(&self, name: &str) -> Option<&str> {
        self.projects
            .iter()
            .find(|project| project.name == name)
            .map(|project| project.id.as_str())
    }

    /// Returns a user with a role in the project of this name.
    pub(crate) fn user_of(&self, project: &str) -> Option<&str> {
        self.users
            .iter()
            .find(|user| user.project == project)
            .map(|user| user.user_id.as_str())
    }
}

/// Returns an id without dashes, as Keystone writes them.
pub(crate) fn plain_id() -> String {
    Uuid::new_v4().simple().to_string()
}
