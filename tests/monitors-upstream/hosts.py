"""The other ways in which the unmodified monitors watch hosts: crm_mon's remotes, unreadable power states, Consul, Kubernetes. Their input
is recorded output of crm_mon, and agents that answer as Consul's and Kubernetes' do.
"""
import json
import os
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "..", "..", "monitors", "pacemaker", "tests", "recorded")
OWN = "compute-001"
CIB = """<cib have-quorum="1" epoch="7" num_updates="1" admin_epoch="0"><configuration><resources/></configuration><status>
<node_state id="1" uname="compute-001" in_ccm="true" crmd="online" join="member" expected="member"/>
<node_state id="2" uname="%s" in_ccm="%s" crmd="%s" join="%s" expected="member"/></status></cib>
"""


class Answers:
    """A server of one changing JSON document."""

    def __init__(self, tls=None):
        self.document, self.asked = None, 0
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                answers.asked += 1
                data = json.dumps(answers.document).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def give(self, document):
        """The next look, and one more, see this."""
        self.document = document
        seen, deadline = self.asked, time.monotonic() + 60
        while self.asked < seen + 2:
            if time.monotonic() > deadline:
                raise RuntimeError("unexpected query")
            time.sleep(0.1)

    def stop(self):
        self.server.shutdown()


def options(**more):
    return {"host": {"monitoring_interval": "1", "api_retry_max": "12", "api_retry_interval": "1", "pacemaker_node_type": "remote",
                     "disable_ipmi_check": "true", **more}}


def told(m, host):
    """The next report of this host, and how it was answered."""
    def of_host():
        taken.extend(m.posts())
        # Its answer may still be on the way.
        return [r for r in taken if r.status and r.json()["notification"]["hostname"] == host]

    taken = []
    sent = m.until("the host monitor's notification of %s" % host, of_host)[0]
    return sent, sent.json()["notification"]["payload"]


def remotes(m):
    """`restrict_to_remotes`, as the charms configure it: STOPPED with NORMAL for a host that runs on, then STARTED."""
    victim, shown = "compute-003", os.path.join(m.region.work, "crm_mon.xml")

    def show(name):
        with open(os.path.join(RECORDED, name), encoding="utf-8") as f:
            text = f.read().replace("cmp1", victim).replace("cmp2", OWN)
        with open(shown + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(shown + ".new", shown)

    show("001-all-up.xml")
    m.tool("crm_mon", "cat '%s'" % shown)
    m.proxy.take()
    m.monitor("hostmonitor", OWN, m.configuration("remotes", options(restrict_to_remotes="true")))
    m.until("it to have seen the remotes", lambda: "'%s' is 'online'" % victim in m.log("remotes"))
    show("014-cmp1-fenced-at-once.xml")
    sent, payload = told(m, victim)
    m.check.equal("crm_mon: STOPPED is accepted", (sent.status, payload), (202, {
        "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}))
    # It keeps running, and Nova gets its heartbeats, whatever the report claims.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(1)
    server = [s for s in m.region.admin("GET", "/servers") if s["id"] == m.guest][0]
    m.check.equal("NORMAL for a running host moves none of its instances", server["host"], victim)
    m.check.equal("nothing ran twice", m.region.admin("GET", "/ledger")["double_runs"], 0)
    show("001-all-up.xml")
    sent, payload = told(m, victim)
    m.check.equal("crm_mon: STARTED is accepted", (sent.status, payload), (202, {
        "event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}))
    m.stop()


def unknown(m):
    """A host whose power state cannot be read: UNKNOWN."""
    victim = "compute-006"

    def cluster(*state):
        with open(m.cib + ".new", "w", encoding="utf-8") as f:
            f.write(CIB % (victim, *state))
        os.rename(m.cib + ".new", m.cib)

    cluster("true", "online", "member")
    m.proxy.take()
    m.monitor("hostmonitor", OWN, m.configuration("unknown", options(disable_ipmi_check="false", ipmi_retry_max="0")))
    m.until("it to have seen the cluster", lambda: "'%s' is 'online'" % victim in m.log("unknown"))
    cluster("false", "offline", "down")
    sent, payload = told(m, victim)
    m.check.equal("UNKNOWN is accepted", (sent.status, payload), (202, {
        "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"}))
    m.stop()


def consul(m):
    """Three networks, one agent that answers for all of them."""
    victim, agent = "compute-007", Answers()

    def members(status):
        tags = {"build": "1.15.4:abc", "dc": "dc1", "role": "node", "vsn": "2"}
        return [{"Name": name, "Addr": "10.0.0.%d" % n, "Port": 8301, "Tags": tags, "Status": status if name == victim else 1,
                 "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2, "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 4}
                for n, name in enumerate((OWN, victim, "compute-009"))]

    agent.document = members(1)
    address = "127.0.0.1:%d" % agent.port
    m.proxy.take()
    m.monitor("hostmonitor", OWN, m.configuration("consul", {**options(monitoring_driver="consul"), "consul": {
        "agent_manage": address, "agent_tenant": address, "agent_storage": address}}))
    agent.give(members(1))
    agent.give(members(4))
    sent, payload = told(m, victim)
    m.check.equal("Consul: STOPPED is accepted", (sent.status, payload), (202, {
        "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}))
    agent.give(members(1))
    sent, payload = told(m, victim)
    m.check.equal("Consul: STARTED is accepted", (sent.status, payload["event"]), (202, "STARTED"))
    m.stop()
    agent.stop()


def kubernetes(m):
    """In a pod: a service account, and an API that is asked with its token."""
    victim, account = "compute-008", os.path.join(m.region.work, "account")
    os.mkdir(account)
    key, certificate = os.path.join(m.region.work, "k8s.key"), os.path.join(account, "ca.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    for name, text in (("token", "secret"), ("namespace", "openstack")):
        with open(os.path.join(account, name), "w", encoding="utf-8") as f:
            f.write(text)
    api = Answers((certificate, key))

    def nodes(ready):
        return {"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{
            "metadata": {"name": name, "labels": {"role": "compute"}},
            "status": {"conditions": [{"type": "Ready", "status": ready if name == victim else "True",
                                       "lastHeartbeatTime": "2026-11-20T06:18:14Z", "lastTransitionTime": "2026-11-20T06:18:14Z",
                                       "reason": "KubeletReady", "message": "kubelet is posting ready status"}]}}
            for name in (victim, OWN, "compute-009")]}

    api.document = nodes("True")
    m.proxy.take()
    m.monitor("hostmonitor", OWN, m.configuration("kubernetes", {**options(monitoring_driver="kubernetes"), "kubernetes": {
        "monitoring_node_labels": "role=compute"}}), account=account,
        KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(api.port))
    api.give(nodes("True"))
    api.give(nodes("Unknown"))
    sent, payload = told(m, victim)
    m.check.equal("Kubernetes: STOPPED is accepted, without a cluster_status", (sent.status, payload), (202, {
        "event": "STOPPED", "host_status": "NORMAL"}))
    m.stop()
    api.stop()


STEPS = (remotes, unknown, consul, kubernetes)
