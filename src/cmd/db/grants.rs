//! `tachi db grants`.

use std::sync::Arc;

use tachi_cli::arguments::GrantsArgs;
use tachi_cli::out;
use tachi_engine::SystemClock;
use tachi_operator::Failure;
use tachi_store::{Role, Store, grants};

use crate::cmd::command_settings;

/// Prints the grants that each user needs, or applies them.
pub(super) async fn run(args: &GrantsArgs) -> Result<(), Failure> {
    let settings = command_settings(&args.config)?;
    let options = settings.database.once();
    let Some(server) = options.server.as_ref() else {
        return Err(Failure::from_text(format!(
            "{} is a file: it has no users; its file permissions protect it",
            settings.database
        )));
    };
    let database = server.database().unwrap_or_default();
    let users = [
        (Role::Api, args.api.as_deref()),
        (Role::Engine, args.engine.as_deref()),
        (Role::Reader, args.reader.as_deref()),
    ];
    let users: Vec<(Role, &str)> = users
        .into_iter()
        .filter_map(|(role, user)| Some((role, user?)))
        .collect();
    for (at, (_, user)) in users.iter().enumerate() {
        // A user with the rights of both would defeat the separation.
        if users[..at].iter().any(|(_, other)| other == user) {
            return Err(Failure::usage(format!(
                "{user} is named twice: give each its own user"
            )));
        }
    }
    let of = |(role, user): &(Role, &str)| grants(server.kind, *role, user, &args.from, &database);
    if !args.execute {
        for statement in users.iter().flat_map(of) {
            out::line(format!("{statement};"));
        }
        return Ok(());
    }
    let store = Store::connect(&options, Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::new("opening the database", error))?;
    let pending = store.pending().await;
    let pending = pending.map_err(|error| Failure::new("reading the version", error))?;
    if !pending.is_empty() {
        return Err(Failure::from_text(format!(
            "the schema is not up to date ({} to be applied), so some tables do not exist yet: run `tachi db sync` first",
            pending.join(", ")
        )));
    }
    for user in &users {
        let given = store.grant(&of(user)).await;
        given.map_err(|error| {
            let what = format!(
                "granting to {}: the user must exist, and the user of [database] connection must be allowed to grant",
                user.1
            );
            Failure::new(what, error)
        })?;
        out::line(format!(
            "{} has the grants that it needs; its other grants are unchanged",
            user.1
        ));
    }
    Ok(())
}
