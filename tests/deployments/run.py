#!/usr/bin/env python3
"""What other tools write starts us. Configurations as the charm, kolla-ansible, openstack-ansible and openstack-helm render them start
`tachi api` and `tachi engine`, and are read by the monitors. kolla-ansible's own templates, rendered here, are read without a warning; the API
starts through the uwsgi shim with what the rendered ini says; config.json's commands are names that the image has. Run it where only loopback is
there (run.sh)."""
import argparse
import configparser
import importlib
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jinja2
import yaml

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tests/lib"))
from ports import free_port

KIT = REPO / "packaging/kolla"
CONFIGURATIONS = pathlib.Path(__file__).resolve().parent / "configurations"
PASSED, FAILED = [], []


def check(name, good, why=""):
    (PASSED if good else FAILED).append(name)
    print("%s %s%s" % ("ok     " if good else "FAILED ", name, "" if good else ": %s" % why), flush=True)


def templates(share, package):
    """kolla-ansible's roles, with its own filters and the two of Ansible that its masakari templates use."""
    sys.path.insert(0, str(package))
    address = importlib.import_module("kolla_ansible.put_address_in_context")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(share / "ansible/roles" / role / "templates")
                                        for role in ("masakari", "service-uwsgi-config")]),
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["bool"] = lambda value: str(value).lower() in ("1", "true", "yes", "on")
    environment.filters["put_address_in_context"] = address.put_address_in_context
    environment.filters["kolla_address"] = lambda network, host: "127.0.0.1"
    return environment


def variables(work, **changes):
    """What an inventory with one control node gives; the folder of logs is in `work`."""
    given = {
        "masakari_logging_debug": False, "api_interface_address": "127.0.0.1", "masakari_api_port": 15868,
        "rpc_transport_url": "rabbit://openstack:pw@127.0.0.1:5672//", "notify_transport_url": "rabbit://openstack:pw@127.0.0.1:5672//",
        "openstack_region_name": "RegionOne", "default_user_domain_id": "default", "default_project_domain_id": "default",
        "default_user_domain_name": "Default", "default_project_domain_name": "Default",
        "keystone_internal_url": "http://127.0.0.1:15890", "keystone_public_url": "http://127.0.0.1:15890",
        "nova_keystone_user": "nova", "nova_keystone_password": "pw", "openstack_cacert": "",
        "masakari_database_user": "masakari", "masakari_database_password": "pw", "masakari_database_address": "127.0.0.1:3306",
        "masakari_database_name": "masakari", "masakari_database_enable_tls_internal": False, "database_connection_recycle_time": 10,
        "database_max_pool_size": 1, "masakari_keystone_user": "masakari", "masakari_keystone_password": "pw", "enable_memcached": True,
        "memcache_security_strategy": "ENCRYPT", "memcache_secret_key": "k", "memcached_port": 11211,
        "enable_ceilometer": False, "om_enable_rabbitmq_tls": False, "om_rabbitmq_cacert": "", "om_enable_rabbitmq_stream_fanout": True,
        "om_rabbitmq_qos_prefetch_count": 1, "masakari_coordination_backend": "", "valkey_connection_string": "redis://127.0.0.1:6379",
        "internal_protocol": "http", "kolla_internal_fqdn": "127.0.0.1", "etcd_client_port": 2379, "migration_interface_address": "127.0.0.1", "inventory_hostname": "control",
        "groups": {"memcached": ["control"], "hacluster": ["control"], "hacluster-remote": []},
        "api_interface": "eth0", "hacluster_corosync_port": 5405, "container_config_directory": "/var/lib/kolla/config_files",
        "libvirt_enable_sasl": True, "kolla_copy_ca_into_containers": False, "libvirt_sasl_authname": "nova", "libvirt_sasl_password": "pw",
        "service_uwsgi_config_host": "127.0.0.1", "service_uwsgi_config_http_port": 15895, "service_uwsgi_config_log_dir": "masakari",
        "service_uwsgi_config_log_file": "masakari-api-uwsgi.log", "service_uwsgi_config_log_file_chmod": "644",
        "service_uwsgi_config_module": "masakari.wsgi.api:application", "service_uwsgi_config_socket_port": "",
        "service_uwsgi_config_tls_backend": False, "service_uwsgi_config_tls_cert": str(work / "cert.pem"),
        "service_uwsgi_config_tls_key": str(work / "key.pem"), "service_uwsgi_config_worker_timeout": 80,
        "service_uwsgi_config_workers": 2, "kolla_base_distro": "debian",
        "service_name": "masakari-api",
    }
    return {**given, **changes}


def rendered(environment, name, work, **changes):
    text = environment.get_template(name).render(variables(work, **changes))
    return text.replace("/var/log/kolla", str(work / "log")).replace("/var/lib/masakari", str(work / "state"))


def run(command, **more):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, **more)


def configurations(environment, tachi, monitor, work):
    (work / "policy.yaml").write_text('"os_masakari_api:segments:index": "role:reader"\n')
    ca = work / "cert.pem"
    cases = {"plain": {}, "tls": {"openstack_cacert": str(ca), "om_enable_rabbitmq_tls": True, "om_rabbitmq_cacert": str(ca),
                                   "rpc_transport_url": "rabbit://openstack:pw@127.0.0.1:5671//",
                                   "keystone_internal_url": "https://127.0.0.1:15890", "masakari_database_enable_tls_internal": True},
             "ipv6": {"api_interface_address": "fd00::1", "masakari_database_address": "[fd00::1]:3306"},
             "policy": {"masakari_policy_file": str(work / "policy.yaml")}, "ceilometer": {"enable_ceilometer": True},
             "valkey": {"masakari_coordination_backend": "valkey"}, "etcd": {"masakari_coordination_backend": "etcd"},
             "no-memcached": {"enable_memcached": False}}
    for (name, changes), service in itertools.product(cases.items(), ("masakari-api", "masakari-engine")):
        text = rendered(environment, "masakari.conf.j2", work, service_name=service, **changes)
        conf = work / ("%s-%s.conf" % (service, name))
        conf.write_text(text)
        shown = run([tachi, "config", "show", "--config-file", conf])
        said = [line for line in shown.stderr.splitlines() if "has no effect" not in line]
        check("%s, %s: is read without a warning" % (service, name), shown.returncode == 0 and not said, shown.stderr)
        if service == "masakari-engine":
            overlay = run([tachi, "config", "show", "--config-file", conf, "--config-file", KIT / "config/masakari/masakari-engine.conf"])
            check("%s, %s: with our overlay the engine fences" % (service, name), "\nmode = engine\n" in overlay.stdout, overlay.stderr)
            check("%s, %s: and what Masakari's monitors report goes on to count" % (service, name),
                  "\nreporter_binding = warn\n" in overlay.stdout and "\nnormal_without_evidence = wait\n" in overlay.stdout, overlay.stdout)
    for service in ("masakari-instancemonitor", "masakari-hostmonitor"):
        conf = work / (service + ".conf")
        conf.write_text(rendered(environment, "masakari-monitors.conf.j2", work, service_name=service))
        kind = "instance" if service == "masakari-instancemonitor" else "host"
        told = run([monitor, "check", kind, "--config-file", conf])
        check("%s: is read" % service, told.returncode in (0, 1), told.stdout + told.stderr)
        if kind == "instance":
            check("%s: qemu+tcp is refused" % service, "only the local Unix socket" in told.stdout, told.stdout)
        overlay = (KIT / "config/masakari/masakari-monitors.conf").read_text().replace("/var/lib/masakari", str(work / "state"))
        (work / "overlay.conf").write_text(overlay)
        told = run([monitor, "check", kind, "--config-file", conf, "--config-file", work / "overlay.conf"])
        check("%s: with our overlay it is read, and libvirt is local" % service,
              told.returncode in (0, 1) and "only the local" not in told.stdout, told.stdout + told.stderr)


def strictness(tachi):
    """What is written for a new installation is strict; what is put over a running cloud's is not, and says how to become it."""
    shown = run([tachi, "config", "show", "--config-file", REPO / "packaging/examples/masakari.conf"])
    check("the example for a new installation is read without a warning", shown.returncode == 0 and not shown.stderr, shown.stderr)
    for line in ("reporter_binding = enforce", "normal_without_evidence = refuse"):
        check("and says %s" % line, "\n%s\n" % line in shown.stdout, shown.stdout)
    for kit in ("kolla/config/masakari/masakari-engine.conf", "openstack-ansible/user_variables.yml", "openstack-helm/values.yaml"):
        lines = (REPO / "packaging" / kit).read_text().splitlines()
        for option in ("reporter_binding", "normal_without_evidence"):
            named = [line.strip().startswith("#") for line in lines if option in line]
            check("%s: %s is told of and not set" % (kit, option), named and all(named), lines)


def kits():
    """What a deployer leaves out by default and Tachi cannot do without, or stops too early, our kits say."""
    kolla = yaml.safe_load((KIT / "globals.yml").read_text())
    overlay = configparser.ConfigParser()
    overlay.read_string((KIT / "config/masakari/masakari-monitors.conf").read_text())
    spool = pathlib.PurePosixPath(overlay["monitor"]["state_path"])
    for monitor in ("host", "instance"):
        mounted = [volume.split(":")[1] for volume in kolla["masakari_%smonitor_extra_volumes" % monitor]]
        check("kolla: reports that the %s monitor keeps outlive its container" % monitor,
              any(spool.is_relative_to(place) for place in mounted), (mounted, spool))


def programs():
    """The names that the Containerfile makes."""
    made = (KIT / "Containerfile").read_text()
    names = {"uwsgi"} | {"masakari-" + n for n in re.search(r"for name in ([\w ]+); do ln -sf tachi \$", made)[1].split()}
    return names | {"masakari-%smonitor" % n for n in re.search(r"for name in ([\w ]+); do ln -sf tachi-monitor", made)[1].split()}


def helm(tachi, monitor, work):
    """What Helm renders of openstack-helm's chart and our values (helm.py, which needs a checkout of the chart, keeps it)."""
    values = yaml.safe_load((REPO / "packaging/openstack-helm/values.yaml").read_text())
    made = json.loads((pathlib.Path(__file__).resolve().parent / "rendered-openstack-helm.json").read_text())
    check("openstack-helm: what is kept was rendered of these values", made["values"] == values,
          "render them anew: tests/deployments/helm.py CHECKOUT --write")
    started = made["workloads"]
    for name in ("masakari-host-monitor", "masakari-instance-monitor"):
        check("openstack-helm: a DaemonSet %s, which the chart's own values do not make" % name,
              started.get(name, {}).get("kind") == "DaemonSet" and name not in made["default"], sorted(started))
    unit = re.search(r"^TimeoutStopSec=(\d+)$", (REPO / "packaging/systemd/masakari-engine.service").read_text(), re.M)
    check("openstack-helm: an engine has as long to stop as under systemd", started["masakari-engine"]["grace"] == int(unit[1]), started["masakari-engine"])
    theirs = [image for image in made["images"] if "masakari" in image and image not in values["images"]["tags"].values()]
    check("openstack-helm: no image of Masakari is left", not theirs, theirs)
    for name, found in started.items():
        for one in found["containers"].values():
            program = one["command"][0]
            check("openstack-helm: %s starts a program that the image has" % name, program in programs() or program.startswith("/tmp/"), program)
    asks = re.findall(r'run\("(\w+)", &\["([\w=-]+)"\]', (REPO / "monitors/src/host/tools.rs").read_text())
    allowed = [part.strip() for line in made["files"]["masakari_sudoers"].splitlines() if "NOPASSWD:" in line
               for part in line.split("NOPASSWD:")[1].split(",")]
    check("openstack-helm: sudo lets the host monitor ask Pacemaker each of %s, and nothing else" % asks,
          len(asks) == 3 and sorted(allowed) == sorted("/usr/sbin/%s %s" % ask for ask in asks), allowed)
    uid = started["masakari-host-monitor"]["containers"]["masakari-host-monitor"]["user"]
    check("openstack-helm: as the user that it runs as", "\n#%d ALL=(root) NOPASSWD:" % uid in made["files"]["masakari_sudoers"], uid)
    for name in ("masakari.conf", "masakarimonitors.conf"):
        (work / ("helm-" + name)).write_text(made["files"][name])
    shown = run([tachi, "config", "show", "--config-file", work / "helm-masakari.conf"])
    said = [line for line in shown.stderr.splitlines() if "has no effect" not in line]
    check("openstack-helm: masakari.conf is read without a warning", shown.returncode == 0 and not said, shown.stderr)
    told = run([monitor, "check", "host", "--config-file", work / "helm-masakarimonitors.conf"])
    check("openstack-helm: masakarimonitors.conf is read", "configuration: read from" in told.stdout, told.stdout + told.stderr)


def validated(tachi, kolla, work):
    """`kolla-ansible validate-config` finds in the container what Tachi finds wrong, and nothing else: by kolla's own command line."""
    roles = next(kolla.glob("*.data/data/share/kolla-ansible/ansible/roles"))
    task = yaml.safe_load((roles / "service-config-validate/tasks/validate.yml").read_text())[1]
    command = task["ansible.builtin.command"].split("}} ", 2)[2]
    place = work / "validate"
    place.mkdir()
    for name, target in (("tachi", tachi), ("oslo-config-validator", KIT / "oslo-config-validator")):
        (place / name).symlink_to(target)
    conf = place / "masakari.conf"
    good = (CONFIGURATIONS / "kolla.conf").read_text() + (KIT / "config/masakari/masakari-engine.conf").read_text()
    for name, text, rc, wanted in (("what the kit writes is good", good, 0, ""),
                                   ("an option that is none is told of", good + "mod = engine\n", 1, "[fencing] mod is not an option"),
                                   ("a value that is none is told of", good.replace("mode = engine", "mode = sometimes"), 1, "write engine, external or dry-run")):
        conf.write_text(text)
        words = jinja2.Template(command).render(inner_item={"config": str(conf), "generator": "/masakari/etc/masakari/masakari-config-generator.conf"})
        told = run(shlex.split(words), env={"PATH": "%s:/usr/bin:/bin" % place})
        check("kolla-ansible validate-config: " + name, told.returncode == rc and wanted in told.stderr and bool(told.stderr) == bool(rc),
              (words, told.returncode, told.stderr))
    conf.unlink()
    told = run(shlex.split(words), env={"PATH": "%s:/usr/bin:/bin" % place})
    check("kolla-ansible validate-config: a container without the file is passed over, as kolla does", told.returncode == 1 and not told.stderr, told)


def answer(url):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with opener.open(url, timeout=5) as got:
                return got.status
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return None


def shim(environment, tachi, work):
    tools = work / "bin"
    tools.mkdir()
    (tools / "tachi").symlink_to(tachi)
    (work / "log/masakari").mkdir(parents=True)
    place = work / "etc"
    place.mkdir()
    os.chmod(work, 0o755)
    # kolla gives the user its folders; here it is nobody.
    for folder in ("log/masakari", "state"):
        (work / folder).mkdir(exist_ok=True)
        shutil.chown(work / folder, "nobody")
    shutil.chown(work / "key.pem", "nobody")
    base = {"PATH": "%s:/usr/sbin:/usr/bin:/sbin:/bin" % tools, "OS_DEFAULT__AUTH_STRATEGY": "noauth2", "OS_DEFAULT__TRANSPORT_URL": ""}
    for name, changes, scheme, user in (
            ("http", {}, "http", None), ("https", {"service_uwsgi_config_tls_backend": True}, "https", None),
            ("as kolla's user", {"service_uwsgi_config_uid": "nobody"}, "http", "nobody")):
        port = free_port()
        ini = place / "masakari-api-uwsgi.ini"
        ini.write_text(rendered(environment, "uwsgi.ini.j2", work, service_uwsgi_config_http_port=port, **changes))
        (place / "masakari.conf").write_text(rendered(environment, "masakari.conf.j2", work))
        log = work / "log/masakari/masakari-api-uwsgi.log"
        log.unlink(missing_ok=True)
        (work / "log/masakari/masakari-api.log").unlink(missing_ok=True)
        for left in (work / "state").iterdir():
            left.unlink() if left.is_file() or left.is_socket() else shutil.rmtree(left)
        started = subprocess.Popen(["/bin/sh", KIT / "uwsgi", ini], env={
            **base, "OS_DATABASE__CONNECTION": "sqlite:///%s/state/tachi.sqlite" % work}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            status = answer("%s://127.0.0.1:%d/healthcheck" % (scheme, port))
            why = (log.read_text() if log.exists() else "") if status != 200 else ""
            if status != 200:
                started.terminate()
                why += started.communicate(timeout=20)[0]
            check("the shim, %s: the API answers where the ini says" % name, status == 200, "%s %s" % (status, why))
            if status == 200:
                owner = pathlib.Path("/proc/%d" % started.pid).stat().st_uid
                wanted = 65534 if user else os.getuid()
                check("the shim, %s: as the ini's user" % name, owner == wanted, owner)
                check("the shim, %s: the ini's log is there" % name, log.exists())
        finally:
            started.terminate()
            started.wait(timeout=30)
    for text, wanted in (("[uwsgi]\nmodule = keystone.wsgi:application\n", "is no masakari"), (None, "cannot be read")):
        ini = place / "other.ini"
        ini.unlink(missing_ok=True)
        if text:
            ini.write_text(text)
        told = run(["/bin/sh", KIT / "uwsgi", ini])
        check("the shim: %s" % wanted, told.returncode == 2 and wanted in told.stderr, told.stderr)


def starts(tachi, work):
    """READY=1, as the service manager hears it: listening, or looking for work."""
    for conf, service in itertools.product(sorted(CONFIGURATIONS.glob("*.conf")), ("api", "engine")):
        place = work / ("%s-%s" % (conf.stem, service))
        place.mkdir()
        hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        hearing.bind(str(place / "notify"))
        hearing.settimeout(60)
        text = conf.read_text().replace("/etc/masakari/masakari.pem", str(work / "cert.pem")).replace("/etc/masakari/masakari.key", str(work / "key.pem"))
        (place / "masakari.conf").write_text(text)
        # What the machine lacks: the database, the folders of log and state.
        started = subprocess.Popen([tachi, service, "--config-file", place / "masakari.conf"], env={
            "PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(place / "notify"), "OS_DATABASE__CONNECTION": "sqlite:///%s/tachi.sqlite" % place,
            "OS_DEFAULT__LOG_DIR": str(place), "OS_DEFAULT__STATE_PATH": str(place), "OS_DEFAULT__MASAKARI_API_LISTEN": "127.0.0.1",
        }, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        heard = []
        try:
            while not any("READY=1" in line for line in heard) and started.poll() is None:
                heard.append(hearing.recv(4096).decode())
        except TimeoutError:
            pass
        ready = any("READY=1" in line for line in heard)
        log = "\n".join(path.read_text() for path in place.glob("*.log"))
        if ready and service == "api":
            ready = answer("%s://127.0.0.1:15868/healthcheck" % ("https" if "\nuse_ssl = True\n" in text else "http")) == 200
        started.terminate()
        check("%s.conf starts tachi %s" % (conf.stem, service), ready, "%s %s %s" % (heard, started.communicate(timeout=60)[1], log))
        hearing.close()


# oslo.log's handler of the journal sends these; what it calls LOGGER_NAME is TARGET here.
JOURNAL = ("MESSAGE", "PRIORITY", "CODE_FILE", "CODE_LINE", "SYSLOG_IDENTIFIER", "TARGET")


def journal(datagram):
    """The fields of an entry, as sd-journal's protocol has them."""
    fields = {}
    while datagram:
        name, _, datagram = datagram.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
        else:
            length = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8:8 + length], datagram[9 + length:]
        fields[name.decode()] = value.decode()
    return fields


def listening(path):
    """A datagram socket where the system's own would be; run.sh gives us a /run and a /dev/log of our own."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).unlink(missing_ok=True)
    hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    hearing.bind(path)
    hearing.settimeout(30)
    return hearing


def heard(hearing, wanted):
    """What is said until `wanted` says yes to it; the last is it."""
    found = []
    try:
        while not found or not wanted(found[-1]):
            found.append(hearing.recv(1 << 18))
    except TimeoutError:
        pass
    return found


def expression(kolla, name):
    """A regular expression of kolla-ansible's fluentd, with Python's names of groups."""
    text = next(kolla.glob("*.data/data/share/kolla-ansible/ansible/roles/*/templates/conf/input/00-global.conf.j2")).read_text()
    return re.compile(re.search(r"^ *%s /(.*)/$" % name, text, re.M)[1].replace("(?<", "(?P<"))


def logs(tachi, kolla, work):
    """The log as the deployers' own tools take it: kolla's fluentd reads the file, journald and syslog have severities, SIGHUP changes the level."""
    place = work / "logs"
    place.mkdir()
    told, system = listening("/run/systemd/journal/socket"), listening("/dev/log")
    conf = place / "masakari.conf"

    def started(program, more, environment=None):
        text = (CONFIGURATIONS / "osa.conf").read_text().replace("/etc/masakari/masakari.pem", str(work / "cert.pem")).replace(
            "/etc/masakari/masakari.key", str(work / "key.pem"))
        conf.write_text(text.replace("use_journal = true\n", more))
        return subprocess.Popen([tachi, program, "--config-file", conf], env={
            "PATH": os.environ["PATH"], "OS_DATABASE__CONNECTION": "sqlite:///%s/tachi.sqlite" % place, "OS_DEFAULT__STATE_PATH": str(place),
            "OS_DEFAULT__MASAKARI_API_LISTEN": "127.0.0.1", **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    running = started("masakari-engine", "use_journal = true\n")
    entries = [journal(one) for one in heard(told, lambda one: b"PRIORITY\n" in one and journal(one)["PRIORITY"] == "6") if one]
    running.terminate()
    said = running.communicate(timeout=60)[1]
    missing = [entry for entry in entries if not set(JOURNAL) <= set(entry)]
    check("use_journal, which openstack-ansible sets: entries have oslo.log's fields", entries and not missing, "%s %s" % (missing, said))
    check("and its priorities: `journalctl -p warning` finds our warnings", {entry["PRIORITY"] for entry in entries} == {"6", "4"}, entries)
    check("under the program's name", {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"masakari-engine"}, entries)
    check("and nothing is said a second time on standard error", not said, said)

    running = started("masakari-api", "use_syslog = true\nsyslog_log_facility = LOG_LOCAL3\n")
    line = heard(system, lambda one: b"API listens" in one)[-1].decode()
    answer("https://127.0.0.1:15868/healthcheck")
    lines = [one.decode() for one in heard(system, lambda one: b"/healthcheck" in one)]
    running.terminate()
    said = running.communicate(timeout=60)[1]
    # 8 * 19 for LOG_LOCAL3, and 6 for what informs.
    check("use_syslog: facility, severity and program", re.match(r"<158>masakari-api\[%d\]: INFO \S+ \[.*\] API listens" % running.pid, line), line)
    check("and the request's ids", re.search(r" \[None req-[-0-9a-f]{36} - - - - - -\] .*/healthcheck", lines[-1]), lines)
    check("use_syslog: nothing on standard error", not said, said)

    system.close()
    os.unlink("/dev/log")
    running = started("masakari-api", "use_syslog = true\n")
    answer("https://127.0.0.1:15868/healthcheck")
    running.terminate()
    said = running.communicate(timeout=60)[1]
    check("use_syslog without a syslog: standard error has the log, and says why", "option=use_syslog" in said and "API listens" in said, said)

    first, whole = expression(kolla, "format_firstline"), expression(kolla, "format1")
    file = place / "masakari-api.log"
    running = started("masakari-api", "log_dir = %s\n" % place)
    answer("https://127.0.0.1:15868/healthcheck")
    before = len(file.read_text().splitlines())
    conf.write_text(conf.read_text().replace("debug = False", "debug = True"))
    running.send_signal(signal.SIGHUP)
    until(lambda: "log level reloaded" in file.read_text())
    answer("https://127.0.0.1:15868/v1/")
    until(lambda: " DEBUG " in file.read_text())
    running.terminate()
    running.communicate(timeout=60)
    lines = file.read_text().splitlines()
    wrong = [line for line in lines if not first.match(line) or not whole.match(line)]
    check("kolla's fluentd takes each of %d lines" % len(lines), lines and not wrong, wrong)
    fields = [whole.match(line).groupdict() for line in lines if whole.match(line)]
    check("and finds the request's id", any(one["request_id"] for one in fields), lines)
    check("and the level", {"INFO"} <= {one["log_level"] for one in fields} <= {"DEBUG", "INFO", "WARNING", "ERROR"}, lines)
    check("SIGHUP changes the level", not any(" DEBUG " in line for line in lines[:before]) and any(" DEBUG " in line for line in lines[before:]), lines)
    told.close()
    system.close()


def until(good):
    end = time.monotonic() + 30
    while not good() and time.monotonic() < end:
        time.sleep(0.05)


def overlays(work):
    """What the kits of openstack-ansible and openstack-helm put over the monitors' configuration; gives a file for each golden."""
    variables = yaml.safe_load((REPO / "packaging/openstack-ansible/user_variables.yml").read_text())
    values = yaml.safe_load((REPO / "packaging/openstack-helm/values.yaml").read_text())
    made = {}
    for name, options in (("osa", variables["masakari_monitors_conf_overrides"]), ("osh", values["conf"]["masakarimonitors"])):
        parser = configparser.ConfigParser()
        parser.read_dict(options)
        parser["monitor"]["state_path"] = str(work / "state")
        made[name] = work / ("monitors-%s-overlay.conf" % name)
        with made[name].open("w") as f:
            parser.write(f)
    return made, variables["masakari_services"]


def monitors(monitor, work):
    """The same for the monitors: what is rendered is read, also below what our kits add; the units of openstack-ansible start programs that there are."""
    overlay, services = overlays(work)
    theirs = {"osa": ("www_authenticate_uri",), "osh": ("disable_ipmi_checks", "guest_monitor_interval", "guest_monitor_timeout")}
    # What openstack-helm's init container writes, on each host.
    (work / "hostname.conf").write_text("[DEFAULT]\nhostname=compute-1\n")
    for conf in sorted((CONFIGURATIONS / "monitors").glob("*.conf")):
        (work / conf.name).write_text(conf.read_text())
        (work / conf.name).chmod(0o600)
        rendered_files = ["--config-file", work / conf.name, "--config-file", work / "hostname.conf"]
        for kind, (which, files) in itertools.product(("host", "instance", "process", "introspective"), (
                ("as it is", rendered_files), ("with our overlay", [*rendered_files, "--config-file", overlay[conf.stem]]))):
            told = run([monitor, "check", kind, *files])
            notes = [line for line in told.stdout.splitlines() if line.startswith("note ")]
            known = all(any("] %s is not an option" % option in line for option in theirs[conf.stem]) for line in notes)
            check("%s.conf %s: the %s monitor reads it, and only what Masakari has not either is unknown" % (conf.stem, which, kind),
                  "configuration: read from" in told.stdout and "only the local" not in told.stdout and known, told.stdout + told.stderr)
    packaged = (REPO / "packaging/build").read_text()
    for name, service in services.items():
        program = service["execstarts"].rpartition("/")[2]
        check("openstack-ansible's unit %s starts a program of the packages" % name,
              service["execstarts"].startswith("/usr/bin/") and '"%s"' % program in packaged and service["service_name"] == name, service)


def commands(environment, work):
    """config.json starts programs by names that the Containerfile makes."""
    names = programs()
    for name in ("masakari-api", "masakari-engine", "masakari-instancemonitor", "masakari-hostmonitor"):
        told = json.loads(environment.get_template(name + ".json.j2").render(variables(work)))
        words = told["command"].split()
        check("config.json of %s: the image has its command" % name, words[0] in names, words)
        if name.endswith("monitor"):
            check("config.json of %s: names kolla's file" % name, words[1:] == [
                "--config-file", "/etc/masakari-monitors/masakari-monitors.conf"], words)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--kolla", required=True, type=pathlib.Path, help="an unpacked kolla_ansible wheel")
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    asked = parser.parse_args()
    work = asked.scratch
    for folder in ("state", "log/masakari"):
        (work / folder).mkdir(parents=True)
    (work / "log").joinpath("masakari").rmdir()
    (work / "log").rmdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    work / "key.pem", "-out", work / "cert.pem", "-subj", "/CN=127.0.0.1", "-days", "2"],
                   check=True, capture_output=True)
    share = next(asked.kolla.glob("*.data/data/share/kolla-ansible"))
    environment = templates(share, asked.kolla)
    starts(asked.tachi, work)
    logs(asked.tachi, asked.kolla, work)
    monitors(asked.monitor, work)
    kits()
    helm(asked.tachi, asked.monitor, work)
    validated(asked.tachi, asked.kolla, work)
    strictness(asked.tachi)
    commands(environment, work)
    configurations(environment, asked.tachi, asked.monitor, work)
    shim(environment, asked.tachi, work)
    print("%d passed, %d failed" % (len(PASSED), len(FAILED)))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
