//! Audit of changes that people make over the API, with their identity from Keystone. It uses the events that are emitted for
//! every change, so that no handler can forget it.

use std::sync::Arc;

use tachi_domain::event::{Cause, Change, Event, EventSnapshot, Phase, ShownHost, ShownSegment, Subject};
use tachi_engine::ports::audit::{AuditEntry, AuditPhase, AuditResult};
use tachi_engine::ports::{AuditSink, Events};

/// Events that are passed on, and whose changes are written to the audit log.
pub struct AuditedEvents {
    pub events: Arc<dyn Events>,
    pub audit: Arc<dyn AuditSink>,
}

impl Events for AuditedEvents {
    fn is_enabled(&self) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        if let Some(entry) = entry(&event) {
            self.audit.note(entry);
        }
        if self.events.is_enabled() {
            self.events.emit(event);
        }
    }
}

/// Returns the line of a change that was made; `None` for everything else.
fn entry(event: &Event) -> Option<AuditEntry> {
    if event.phase != Some(Phase::End) {
        return None;
    }
    let (host, text) = match &event.subject {
        Subject::Host(change, known) => (
            host_name(known),
            format!("host {}: {}", past(*change), of_host(known)),
        ),
        Subject::Segment(change, known) => (
            String::new(),
            format!("segment {}: {}", past(*change), of_segment(known)),
        ),
        // The reporter is stored with the notification, and the recovery has lines of its own.
        Subject::Notification(..) | Subject::Recovery(..) | Subject::Vmove(..) | Subject::Freeze(..) => {
            return None;
        }
    };
    let text = format!("{text} ({})", event.cause.request_id);
    let mut entry = AuditEntry::change(AuditPhase::Outcome, host, who(&event.cause), text);
    entry.result = Some(AuditResult::Ok);
    Some(entry)
}

fn past(change: Change) -> &'static str {
    match change {
        Change::Create => "created",
        Change::Update => "changed",
        Change::Delete => "deleted",
    }
}

fn host_name(known: &ShownHost) -> String {
    match known {
        EventSnapshot::Entity(host) => host.name.clone(),
        EventSnapshot::New((new, _)) => new.name.clone(),
        EventSnapshot::Id(_) => String::new(),
    }
}

// Created and changed objects are complete; a deleted one may have been unreadable before.

fn of_host(known: &ShownHost) -> String {
    match known {
        EventSnapshot::Entity(host) => format!(
            "name {}, segment {}, on_maintenance {}, reserved {}",
            host.name, host.segment.name, host.on_maintenance, host.reserved
        ),
        EventSnapshot::New((new, segment)) => format!("name {}, segment {}", new.name, segment.name),
        EventSnapshot::Id(id) => format!("id {id}"),
    }
}

fn of_segment(known: &ShownSegment) -> String {
    match known {
        EventSnapshot::Entity(segment) => format!(
            "name {}, id {}, enabled {}, recovery_method {}",
            segment.name, segment.id, segment.enabled, segment.recovery_method
        ),
        EventSnapshot::New(new) => format!("name {}", new.name),
        EventSnapshot::Id(id) => format!("id {id}"),
    }
}

/// Describes the user: Keystone's user, by name and id, and the project of the token.
fn who(cause: &Cause) -> String {
    let id = cause.user_id.as_deref();
    let user = match (cause.user_name.as_deref(), id) {
        (Some(name), Some(id)) => format!("{name}, Keystone user {id}"),
        (None, Some(id)) => format!("Keystone user {id}"),
        // An operator with a command on a controller.
        (Some(name), None) => name.to_owned(),
        // Without authentication: `noauth2`.
        (None, None) => "a caller without authentication".to_owned(),
    };
    match &cause.project_id {
        Some(project) => format!("{user}, project {project}"),
        None => user,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tachi_domain::Timestamp;
    use tachi_domain::entity::segment::RecoveryMethod;
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_engine::ports::audit::AuditAction;
    use tachi_engine::ports::{AuditError, NoEvents};

    use super::*;

    #[derive(Default)]
    struct MemoryAudit(Mutex<Vec<AuditEntry>>);

    #[async_trait]
    impl AuditSink for MemoryAudit {
        async fn write(&self, entry: AuditEntry) -> Result<(), AuditError> {
            self.note(entry);
            Ok(())
        }

        fn note(&self, entry: AuditEntry) {
            self.0.lock().unwrap().push(entry);
        }
    }

    #[test]
    fn a_change_over_the_api_is_attributed_to_keystones_user() {
        let paper = Arc::new(MemoryAudit::default());
        let audited = AuditedEvents {
            events: Arc::new(NoEvents),
            audit: paper.clone(),
        };
        let stamps = Stamps {
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        };
        let host = Host {
            row: 1,
            id: uuid::Uuid::nil().into(),
            name: "cmp1".into(),
            segment: Segment {
                row: 1,
                id: uuid::Uuid::nil().into(),
                name: "racks".into(),
                service_type: "COMPUTE".into(),
                enabled: true,
                description: None,
                recovery_method: RecoveryMethod::Auto,
                stamps,
            },
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: true,
            stamps,
        };
        let event = |phase| Event {
            at: Timestamp::from_micros(0),
            cause: Arc::new(Cause {
                request_id: "req-1".into(),
                user_id: Some("u1".into()),
                user_name: Some("alice".into()),
                project_id: Some("p1".into()),
                ..Cause::default()
            }),
            subject: Subject::Host(Change::Update, EventSnapshot::Entity(host.clone())),
            phase: Some(phase),
            failure: None,
        };
        assert!(audited.is_enabled(), "the audit log always reads");
        for phase in [Phase::Start, Phase::Error, Phase::End] {
            audited.emit(event(phase));
        }
        let lines = paper.0.lock().unwrap();
        assert_eq!(lines.len(), 1, "the change, once");
        assert_eq!(
            lines[0].operator.as_deref(),
            Some("alice, Keystone user u1, project p1")
        );
        assert_eq!(
            (lines[0].action, lines[0].host.as_str()),
            (AuditAction::Change, "cmp1")
        );
        assert_eq!(
            lines[0].text,
            "host changed: name cmp1, segment racks, on_maintenance true, reserved false (req-1)"
        );
    }
}
