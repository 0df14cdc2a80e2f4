//! The JSON of a server.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::version::Microversion;
use crate::clock::Clock;
use crate::model::State;
use crate::model::server::{Server, TaskState};

/// The level of detail of a server.
#[derive(Debug)]
pub(super) struct ViewContext<'a> {
    version: Microversion,
    admin: bool,
    base: &'a str,
    clock: &'a Clock,
    /// True for a single server, which has a few more fields than one in a list.
    single: bool,
}

impl<'a> ViewContext<'a> {
    pub(super) fn new(context: &'a Context, single: bool) -> Self {
        Self {
            version: context.version,
            admin: context.caller.admin,
            base: &context.app.base,
            clock: context.app.region.clock(),
            single,
        }
    }

    fn links(&self, server: &Server) -> Value {
        json!([
            {"rel": "self", "href": format!("{}/compute/v2.1/servers/{}", self.base, server.id)},
            {"rel": "bookmark", "href": format!("{}/compute/servers/{}", self.base, server.id)},
        ])
    }

    /// Returns id, name and links.
    pub(super) fn summary(&self, server: &Server) -> Value {
        json!({"id": server.id, "name": server.name, "links": self.links(server)})
    }

    /// Returns all fields.
    pub(super) fn detailed(&self, state: &State, server: &Server) -> Value {
        let status = server.status();
        let zone = server.host.map_or("", |ix| state.aggregates.zone_of(ix));
        let mut shown = json!({
            "id": server.id,
            "name": server.name,
            "status": status,
            "tenant_id": server.project_id,
            "user_id": server.user_id,
            "metadata": server.metadata,
            "hostId": server.host.map_or(String::new(), |ix| state.world.hosts[ix].service_id.simple().to_string()),
            "image": self.image(server),
            "flavor": self.flavor(state, server),
            "created": self.clock.iso(server.created),
            "updated": self.clock.iso(server.updated),
            "addresses": {},
            "accessIPv4": "",
            "accessIPv6": "",
            "links": self.links(server),
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": zone,
            "config_drive": "",
            "key_name": null,
            "OS-SRV-USG:launched_at": server.launched.map(|at| self.clock.stamp(at)),
            "OS-SRV-USG:terminated_at": null,
            "security_groups": [{"name": "default"}],
            "OS-EXT-STS:task_state": server.task_state.map(TaskState::as_str),
            "OS-EXT-STS:vm_state": server.vm_state.as_str(),
            "OS-EXT-STS:power_state": server.power_state,
            "os-extended-volumes:volumes_attached": self.volumes(server),
        });
        if let Some(object) = shown.as_object_mut() {
            self.add_extras(object, state, server, status);
        }
        shown
    }

    fn add_extras(&self, shown: &mut Map<String, Value>, state: &State, server: &Server, status: &str) {
        let mut add = |key: &str, value: Value| shown.insert(key.to_owned(), value);
        if let Some(fault) = server.fault.as_ref().filter(|_| status == "ERROR") {
            add(
                "fault",
                json!({"code": 500, "created": self.clock.iso(fault.at), "message": fault.message}),
            );
        }
        if matches!(
            status,
            "ACTIVE" | "BUILD" | "REBUILD" | "RESIZE" | "VERIFY_RESIZE" | "MIGRATING"
        ) {
            add("progress", json!(0));
        }
        if self.admin {
            let host = server.host.map(|ix| &state.world.hosts[ix]);
            add("OS-EXT-SRV-ATTR:host", json!(host.map(|host| &*host.name)));
            add(
                "OS-EXT-SRV-ATTR:hypervisor_hostname",
                json!(host.map(|host| &host.node)),
            );
            add(
                "OS-EXT-SRV-ATTR:instance_name",
                json!(format!("instance-{:08x}", server.index.0)),
            );
            if self.version.at_least(3) {
                add("OS-EXT-SRV-ATTR:hostname", json!(server.name));
                add("OS-EXT-SRV-ATTR:kernel_id", json!(""));
                add("OS-EXT-SRV-ATTR:launch_index", json!(0));
                add("OS-EXT-SRV-ATTR:ramdisk_id", json!(""));
                add(
                    "OS-EXT-SRV-ATTR:reservation_id",
                    json!(format!("r-{:08x}", server.index.0)),
                );
                add("OS-EXT-SRV-ATTR:root_device_name", json!("/dev/vda"));
                add("OS-EXT-SRV-ATTR:user_data", Value::Null);
            }
        }
        if self.version.at_least(9) {
            add("locked", json!(server.lock.is_some()));
        }
        if self.version.at_least(16) && self.admin {
            add("host_status", json!(state.host_status(server.host)));
        }
        if self.version.at_least(19) {
            add("description", Value::Null);
        }
        if self.version.at_least(26) {
            add("tags", json!([]));
        }
        if self.version.at_least(63) {
            add("trusted_image_certificates", Value::Null);
        }
        if self.version.at_least(71) && self.single {
            add("server_groups", json!([]));
        }
        if self.version.at_least(73) {
            add(
                "locked_reason",
                json!(server.lock.as_ref().and_then(|lock| lock.reason.as_ref())),
            );
        }
        if self.version.at_least(96) {
            add("pinned_availability_zone", json!(server.pinned_zone));
        }
        if self.version.at_least(100) {
            add("scheduler_hints", json!({}));
        }
    }

    fn image(&self, server: &Server) -> Value {
        match server.image {
            None => json!(""),
            Some(id) => {
                json!({"id": id, "links": [{"rel": "bookmark", "href": format!("{}/compute/images/{id}", self.base)}]})
            }
        }
    }

    fn flavor(&self, state: &State, server: &Server) -> Value {
        let Some(flavor) = state.flavors.get(server.flavor) else {
            return Value::Null;
        };
        if self.version.at_least(47) {
            return json!({
                "original_name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram_mb, "disk": flavor.disk_gb,
                "ephemeral": 0, "swap": 0, "extra_specs": flavor.extra_specs,
            });
        }
        let href = format!("{}/compute/flavors/{}", self.base, flavor.id);
        json!({"id": flavor.id, "links": [{"rel": "bookmark", "href": href}]})
    }

    /// Returns the volume's id of a server without an image: the server's id with the last bits inverted.
    fn volumes(&self, server: &Server) -> Value {
        if server.image.is_some() {
            return json!([]);
        }
        let id = uuid::Uuid::from_u128(server.id.as_u128() ^ 0xffff);
        if self.version.at_least(3) {
            json!([{"id": id, "delete_on_termination": false}])
        } else {
            json!([{"id": id}])
        }
    }
}
