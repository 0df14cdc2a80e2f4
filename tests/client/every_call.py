#!/usr/bin/env python3
"""Every command of the unmodified CLI and every call of the unmodified SDK, over every form of catalog entry."""
import argparse
import os
import random
import signal
import sys
import time
import traceback

from checks import Checks
from commands import VERSIONS, Commands, forms
from proxy import Proxy
from quick import QuickCli
from recovered import recover_one
from region import CLOUD, Region
from sdk_calls import SdkCalls

MOUNT = "/instance-ha"


def project_of(clouds_yaml):
    from openstack.config import OpenStackConfig
    return OpenStackConfig(config_files=[clouds_yaml]).get_one(cloud=CLOUD).get_session().get_project_id()


def step(checks, name, run):
    try:
        run()
    except Exception:
        checks.that("%s goes through" % name, False, traceback.format_exc(limit=5))


def walk(region, checks, proxies):
    plain, mounted = Proxy(region.api), Proxy(region.api, MOUNT)
    proxies += [plain, mounted]
    region.catalog(plain.url + "/v1/$(tenant_id)s")
    hosts = sorted(h["name"] for h in region.admin("GET", "/hosts"))
    recovered = recover_one(region, hosts[-1])
    start = time.monotonic()
    cli = QuickCli(region.clouds_yaml, CLOUD)
    commands = Commands(cli, region, checks, hosts, recovered)
    all_forms = forms(plain, mounted, project_of(region.clouds_yaml))
    for form, version in sample(all_forms):
        commands.use(form, version)
        step(checks, "the lap over %s" % commands.where, commands.lap)
        clean(region)
    commands.use(all_forms[0], "1.3")
    step(checks, "sorting and paging", commands.sorting)
    for form in all_forms:
        commands.use(form, "1.3")
        step(checks, "a version the API does not have", commands.too_new)
    print("CLI: %d commands in %.1f s" % (cli.calls, time.monotonic() - start), flush=True)
    start = time.monotonic()
    commands.use(all_forms[0], "1.3")
    calls = SdkCalls(region, plain, checks, hosts, recovered)
    for name, run in calls.steps():
        step(checks, "the SDK's calls, %s" % name, run)
        clean(region)
    print("SDK: %.1f s" % (time.monotonic() - start), flush=True)


def sample(all_forms):
    """The forms of a catalogue entry and versions over which all commands go: the first form with the newest version always, of the others
    a fifth, drawn from the commit that is tested; all of them in --long. What follows tries each form in any case."""
    always = (all_forms[0], VERSIONS[-1])
    others = [(all_forms[0], version) for version in VERSIONS[:-1]]
    others += [(form, version) for form in all_forms[1:] for version in ("1.0", "1.3")]
    commit = os.environ.get("TACHI_SAMPLE", "everything")
    if commit != "everything":
        others = random.Random(commit).sample(others, max(1, len(others) // 5))
    print("laps over: %s" % ", ".join("%s at %s" % (form.name, version) for form, version in [always] + others), flush=True)
    return [always] + others


def clean(region):
    """A lap that broke off leaves nothing to the next one."""
    from sdk_calls import connect
    ha = connect(region.clouds_yaml, CLOUD, "1.3")
    for segment in list(ha.segments()):
        if segment.name != "recovered":
            ha.delete_segment(segment.uuid)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks, proxies = Checks(), []
    region = Region(args.tachi, options=[
        ("DEFAULT", "osapi_max_limit", 50), ("oslo_middleware", "enable_proxy_headers_parsing", "true")])
    try:
        walk(region, checks, proxies)
    finally:
        code = region.stop()
        for proxy in proxies:
            proxy.stop()
    checks.equal("SIGTERM ends tachi serve with 0", code, 0)
    if checks.failed:
        print("---- tachi serve said, at last:\n" + region.service_output()[-4000:])
    region.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
