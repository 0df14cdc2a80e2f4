"""Cases of clouds.yaml: (name, cloud, files, variables). PORT stands for that of the fake Keystone."""

URL = "http://127.0.0.1:PORT/v3"
AUTH = "auth_url: '%s', username: mara, password: tulpe" % URL
DOMAINS = "user_domain_name: Default, project_domain_name: Default"
PROJECT = "project_name: betrieb, " + DOMAINS
FULL = "auth: {%s, %s}" % (AUTH, PROJECT)
OPENRC = {
    "OS_AUTH_URL": URL,
    "OS_USERNAME": "mara",
    "OS_PASSWORD": "0918273645",
    "OS_PROJECT_NAME": "betrieb",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": "north",
    "OS_INTERFACE": "internal",
    "OS_IDENTITY_API_VERSION": "3",
}


def cloud(*lines, name="one", **files):
    """One cloud of these lines."""
    text = "clouds:\n  %s:\n" % name + "".join("    %s\n" % line for line in lines)
    return {"clouds.yaml": text, **{key.replace("_", "-") + ".yaml": value for key, value in files.items()}}


def app(*more):
    """An application credential."""
    return cloud("auth_type: v3applicationcredential", "auth: {%s}" % ", ".join(("auth_url: '%s'" % URL, "application_credential_secret: s") + more))


def cases():
    """All of them."""
    one = lambda name, *lines, env=None, **files: (name, "one", cloud(*lines, **files), env or {})
    auth = lambda name, more, **rest: one(name, "region_name: north", "auth: {%s}" % more, **rest)
    with open("clouds.yaml", encoding="utf-8") as file:
        given = file.read()
    for name in ("regions-with-values", "project-outside-auth", "one-domain-for-both", "password-of-digits"):
        yield ("given/" + name, name, {"clouds.yaml": given}, {})
    # Who.
    yield auth("plain", "%s, %s" % (AUTH, PROJECT))
    yield auth("ids", "auth_url: '%s', user_id: u1, password: p, project_id: p1" % URL)
    yield auth("id-and-name", "%s, %s, project_id: p1" % (AUTH, PROJECT))
    yield auth("tenant", "%s, tenant_name: betrieb, %s" % (AUTH, DOMAINS))
    yield auth("tenant-id", "%s, tenant_id: t1, user_domain_id: default" % AUTH)
    yield auth("dashes-in-auth", "auth-url: '%s', user-name: mara, password: tulpe, project-name: betrieb, user-domain-name: Default, project-domain-id: default" % URL)
    yield one("dashes-beside", "region-name: north", "project-name: betrieb", "project-domain-name: Default", "user-domain-id: default", "auth: {%s}" % AUTH)
    yield one("everything-beside", "region_name: north", "auth_url: '%s'" % URL, "username: mara", "password: tulpe", "project_name: betrieb", "user_domain_name: Default", "project_domain_name: Default")
    yield one("beside-beats-auth", "project_name: anderes", FULL)
    yield one("username-beside-and-in-auth", "username: other", FULL)
    yield one("domain-beside", "domain_name: Default", "auth: {%s, project_name: betrieb}" % AUTH)
    yield auth("domain-id-for-both", "%s, project_name: betrieb, domain_id: default" % AUTH)
    yield auth("domain-for-both-and-own", "%s, project_name: betrieb, domain_name: Default, user_domain_name: Own" % AUTH)
    yield auth("domain-scope", "%s, domain_name: Default, user_domain_name: Default" % AUTH)
    yield auth("domain-id-scope", "%s, domain_id: d1, user_domain_name: Default" % AUTH)
    yield auth("default-domain", "%s, project_name: betrieb, default_domain_id: default" % AUTH)
    yield auth("default-domain-name", "%s, project_name: betrieb, default_domain_name: Default, user_domain_name: Own" % AUTH)
    yield auth("default-domain-id-and-own-name", "%s, project_name: betrieb, default_domain_id: default, user_domain_name: Own" % AUTH)
    yield one("default-domain-of-v3password", "auth_type: v3password", "auth: {%s, project_id: p, default_domain_id: default}" % AUTH)
    yield one("v3password", "auth_type: v3password", FULL)
    yield auth("unscoped", "%s, user_domain_id: default" % AUTH)
    yield auth("system-scope", "%s, user_domain_id: default, system_scope: all" % AUTH)
    yield auth("trust", "%s, user_domain_id: default, trust_id: 0a1b2c" % AUTH)
    yield one("trust-beside", "trust_id: 0a1b2c", "auth: {%s, user_domain_id: default}" % AUTH)
    yield auth("trust-and-project", "%s, %s, trust_id: 0a1b2c" % (AUTH, PROJECT))
    yield auth("system-and-project", "%s, %s, system_scope: all" % (AUTH, PROJECT))
    yield auth("unknown-in-auth", "%s, %s, projct_id: p" % (AUTH, PROJECT))
    yield one("token-beside", "token: t", FULL)
    yield one("token-type", "auth_type: token", "auth: {auth_url: '%s', token: t, project_id: p}" % URL)
    yield one("strange-type", "auth_type: v3strange", FULL)
    yield one("auth-plugin", "auth_plugin: v3password", FULL)
    yield one("auth-type-with-a-dash", "auth-type: v3password", FULL)
    yield ("application-credential", "one", app("application_credential_id: i"), {})
    yield ("application-credential-by-name", "one", app("application_credential_name: n", "username: mara", "user_domain_name: Default"), {})
    yield ("application-credential-by-name-alone", "one", app("application_credential_name: n"), {})
    yield ("application-credential-without-name", "one", app(), {})
    yield ("application-credential-and-project", "one", app("application_credential_id: i", "project_id: p"), {})
    yield auth("no-password", "auth_url: '%s', username: mara, %s" % (URL, PROJECT))
    yield auth("no-url", "username: mara, password: tulpe, %s" % PROJECT)
    yield one("empty-auth", "auth: {}")
    yield auth("empty-settings", "%s, %s, project_id: '', trust_id:" % (AUTH, PROJECT))
    # Scalars.
    for name, password in (("decimal", "0918273645"), ("digits", "1234567890"), ("octal", "0123456701"), ("grouped", "1_000"), ("fraction", "1.10"), ("exponent", "12e03"), ("hex", "0x1F"), ("yes", "yes"), ("date", "2024-01-01"), ("sixty", "1:30"), ("quoted", "'0123'")):
        yield auth("password-" + name, "auth_url: '%s', username: mara, password: %s, %s" % (URL, password, PROJECT))
    yield auth("project-of-digits", "%s, project_name: 1234, user_domain_name: 5, project_domain_name: 6" % AUTH)
    yield one("region-of-digits", "region_name: '7'", FULL)
    # Regions.
    yield one("no-region", FULL)
    yield one("region", "region_name: north", FULL)
    yield one("region-empty", "region_name: ''", FULL)
    yield one("regions-one", "regions: [north]", FULL)
    yield one("regions-two", "regions: [south, north]", FULL)
    yield one("regions-two-by-comma", "region_name: south,north", FULL)
    yield one("regions-two-as-list", "region_name: [south, north]", FULL)
    yield one("regions-and-region", "regions: [south, north]", "region_name: north", FULL)
    yield one("regions-mapping-two", "regions: [{name: south}, {name: north, values: {interface: internal}}]", FULL)
    yield one("regions-mapping-without-name", "regions: [{values: {interface: internal}}]", FULL)
    yield one("regions-mapping-strange", "regions: [{name: north, value: {}}]", FULL)
    yield one("region-values", "regions: [{name: north, values: {interface: internal, auth: {project_name: nordbetrieb}, cacert: null, api_timeout: 7}}]", "cacert: /ca.pem", FULL)
    yield one("region-of-the-service", "region_name: north", "instance_ha_region_name: south", FULL)
    yield one("region-by-variable", FULL, env={"OS_REGION_NAME": "north"})
    yield one("regions-two-by-variable", "regions: [south, north]", FULL, env={"OS_REGION_NAME": "north"})
    yield one("region-against-variable", "region_name: south", FULL, env={"OS_REGION_NAME": "north"})
    yield one("region-beside-openrc", "region_name: south", FULL, env=OPENRC)
    # Addresses.
    yield one("interface", "interface: internal", FULL)
    yield one("interface-with-url", "interface: internalURL", FULL)
    yield one("endpoint-type", "endpoint_type: admin", FULL)
    yield one("interface-and-endpoint-type", "interface: internal", "endpoint_type: admin", FULL)
    yield one("interface-of-the-service", "interface: internal", "instance_ha_interface: admin", FULL)
    yield one("interface-of-the-old-type", "ha_interface: admin", FULL)
    yield one("interface-of-both-types", "ha_interface: admin", "instance_ha_interface: internal", FULL)
    yield one("interface-list", "interface: [internal, public]", FULL)
    yield one("override", "instance_ha_endpoint_override: 'http://api:15868/v1/p'", FULL)
    yield one("override-with-dashes", "instance-ha-endpoint-override: 'http://api:15868/v1/p'", FULL)
    yield one("override-of-the-old-type", "ha_endpoint_override: 'http://api:15868/v1'", FULL)
    yield one("override-old-word", "instance_ha_endpoint: 'http://api:15868/v1'", FULL)
    yield one("override-of-another", "compute_endpoint_override: 'http://nova:8774'", FULL)
    yield one("override-placeholder", "instance_ha_endpoint_override: 'http://api:15868/v1/%(project_id)s'", FULL)
    yield one("braces", "region_name: north", "auth: {auth_url: 'http://127.0.0.1:PORT/v3', username: mara, password: 'a{b}', %s}" % PROJECT, "cacert: '/etc/{region_name}.pem'")
    yield one("braces-in-auth-url", "port: PORT", "auth: {auth_url: 'http://127.0.0.1:{port}/v3', username: mara, password: tulpe, %s}" % PROJECT)
    yield one("braces-unknown", "auth: {auth_url: 'http://{nowhere}:PORT/v3', username: mara, password: tulpe, %s}" % PROJECT)
    # TLS.
    yield one("verify-false", "verify: false", FULL)
    yield one("verify-no", "verify: no", FULL)
    yield one("insecure", "insecure: true", FULL)
    yield one("insecure-quoted", "insecure: 'True'", FULL)
    yield one("insecure-number", "insecure: '1'", FULL)
    yield one("cacert", "cacert: /ca.pem", FULL)
    yield one("cert-and-key", "cert: /c.pem", "key: /k.pem", FULL)
    yield one("cert-alone", "cert: /c.pem", FULL)
    yield one("timeout", "api_timeout: 30", FULL)
    # Files.
    yield one("secure", "region_name: north", "auth: {auth_url: '%s', username: mara, password: wrong, %s}" % (URL, PROJECT), secure="clouds: {one: {auth: {password: tulpe}}}\n")
    yield one("secure-of-digits", "region_name: north", "auth: {auth_url: '%s', username: mara, %s}" % (URL, PROJECT), secure="clouds: {one: {auth: {password: 0918273645}}}\n")
    yield one("profile", "profile: haus", "auth: {username: mara, password: tulpe, project_name: betrieb}", clouds_public="public-clouds: {haus: {region_name: north, interface: internal, auth: {auth_url: '%s', %s}}}\n" % (URL, DOMAINS))
    yield one("profile-by-old-word", "cloud: haus", "region_name: south", "auth: {username: mara, password: tulpe, project_name: betrieb}", clouds_public="public-clouds: {haus: {region_name: north, auth: {auth_url: '%s', %s}}}\n" % (URL, DOMAINS))
    yield one("profile-with-two-regions", "profile: haus", "auth: {username: mara, password: tulpe, project_name: betrieb}", clouds_public="public-clouds: {haus: {regions: [south, north], auth: {auth_url: '%s', %s}}}\n" % (URL, DOMAINS))
    yield one("secure-empty", FULL, secure="")
    yield one("secure-of-comments", FULL, secure="# Passwords are in Vault.\n---\n")
    yield ("clouds-of-comments", "envvars", {"clouds.yaml": "# no clouds\n"}, OPENRC)
    yield ("clouds-empty", "one", {"clouds.yaml": ""}, {})
    yield one("profile-null-and-old-word", "profile:", "cloud: haus", FULL, clouds_public="public-clouds: {haus: {region_name: north}}\n")
    yield one("profile-empty-and-old-word", "profile: ''", "cloud: haus", FULL, clouds_public="public-clouds: {haus: {region_name: north}}\n")
    yield one("profile-unknown", "profile: nirgends", FULL)
    yield ("no-such-cloud", "two", cloud(FULL), {})
    yield ("not-a-mapping", "one", {"clouds.yaml": "clouds: {one: 7}\n"}, {})
    yield ("anchors", "one", {"clouds.yaml": "base: &base {user_domain_name: Default, project_domain_name: Default, project_name: 0815}\nclouds:\n  one:\n    auth: {<<: *base, %s}\n" % AUTH}, {})
    # Variables.
    yield ("openrc", "envvars", cloud(FULL), OPENRC)
    yield ("openrc-alone", "envvars", {}, OPENRC)
    yield ("openrc-named", "shell", {}, {**OPENRC, "OS_CLOUD_NAME": "shell"})
    yield ("openrc-selectors-alone", "envvars", {}, {"OS_CLOUD": "envvars", "OS_REGION_NAME": "north"})
    yield ("openrc-empty-settings", "envvars", {}, {**OPENRC, "OS_PROJECT_ID": "", "OS_TRUST_ID": "", "OS_REGION_NAME": ""})
    yield ("openrc-tenant", "envvars", {}, {**{key: value for key, value in OPENRC.items() if key != "OS_PROJECT_NAME"}, "OS_TENANT_NAME": "alt"})
    yield ("openrc-endpoint-type", "envvars", {}, {**{key: value for key, value in OPENRC.items() if key != "OS_INTERFACE"}, "OS_ENDPOINT_TYPE": "adminURL"})
    yield ("openrc-tls", "envvars", {}, {**OPENRC, "OS_CACERT": "/ca.pem", "OS_INSECURE": "true"})
    yield ("openrc-insecure-yes", "envvars", {}, {**OPENRC, "OS_INSECURE": "yes"})
    yield ("openrc-application-credential", "envvars", {}, {"OS_AUTH_URL": URL, "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s"})
    yield ("openrc-token", "envvars", {}, {**OPENRC, "OS_TOKEN": "t"})
    yield ("openrc-and-a-cloud-of-its-name", "one", cloud(FULL), {**OPENRC, "OS_CLOUD_NAME": "one"})
    yield ("openrc-override", "envvars", {}, {**OPENRC, "OS_INSTANCE_HA_ENDPOINT_OVERRIDE": "http://api:15868/v1"})
