#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the names of all options that a masakari.conf may hold to upstream_options.txt.

Asks the installed packages: pip install masakari osprofiler && python3 record_options.py
"""
import contextlib
import io
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")

import stevedore  # noqa: E402
from keystoneauth1 import loading  # noqa: E402
from oslo_config import generator  # noqa: E402

WANTED = ("masakari.conf", "customized_recovery_flow_opts", "oslo.log", "oslo.db", "oslo.messaging", "oslo.policy",
          "oslo.middleware", "oslo.middleware.cors", "oslo.middleware.http_proxy_to_wsgi",
          "oslo.middleware.sizelimit", "oslo.middleware.healthcheck", "oslo.service.service",
          "oslo.service.sslutils", "oslo.service.wsgi", "oslo.service.periodic_task", "oslo.concurrency",
          "oslo.reports", "keystonemiddleware.auth_token", "osprofiler")
PLUGINS = ("password", "v3password", "v3applicationcredential", "v3token", "token", "v3oidcpassword")


def main():
    have = stevedore.ExtensionManager("oslo.config.opts").names()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        listed = generator._list_opts([name for name in WANTED if name in have])
    sections = {}

    def add(section, option, deprecated):
        sections.setdefault(section, set()).add(option.dest)
        for old in deprecated:
            name = (old.name or option.name).replace("-", "_")
            sections.setdefault(getattr(old, "group", None) or section, set()).add(name)

    for _, groups in listed:
        for group, options in groups:
            for option in options:
                add(getattr(group, "name", group) or "DEFAULT", option, option.deprecated_opts)
    for plugin in PLUGINS:
        for option in loading.get_plugin_loader(plugin).get_options():
            add("keystone_authtoken", option, option.deprecated)
    lines = []
    for section in sorted(sections):
        lines += [f"[{section}]"] + [f"{name} =" for name in sorted(sections[section])]
    pathlib.Path(__file__).with_name("upstream_options.txt").write_text("\n".join(lines) + "\n")
    sys.stderr.write(f"{sum(map(len, sections.values()))} options\n")


if __name__ == "__main__":
    main()
