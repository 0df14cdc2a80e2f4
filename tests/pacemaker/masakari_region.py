"""A simulated region with Masakari's own API and engine, in the network of the cluster, until it is stopped."""
import argparse
import os
import shutil
import signal
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ("client", "bench", "pacemaker", "rabbitmq")]

from field import API  # noqa: E402
from region import Region  # noqa: E402
from upstream_services import Upstream  # noqa: E402

# What charm-masakari writes; Masakari's own are 180 s.
OPTIONS = {"masakari_api_listen": "0.0.0.0", "host": "control-1", "wait_period_after_service_update": "60"}


class Bare(Region):
    """The region alone, whose catalogue names the address that the cluster reaches."""

    def start_service(self):
        pass

    def catalog(self, url, name="masakari"):
        super().catalog(url.replace("127.0.0.1", API), name)


def main():
    parser = argparse.ArgumentParser()
    for name in ("tachi", "upstream", "clouds"):
        parser.add_argument("--" + name, required=True)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    database = os.environ["TACHI_TEST_MYSQL_URL"].rsplit("/", 1)[0].replace("mysql://", "mysql+pymysql://") + "/masakari"
    upstream = Upstream(given.upstream, database, os.environ["TACHI_TEST_RABBIT_URL"])
    region = None
    try:
        upstream.make_database()
        region = Bare(given.tachi, arguments=("--hosts", "4", "--listen", API))
        upstream.use(region)
        upstream.start_api(region.port, **OPTIONS)
        upstream.start_engine()
        shutil.copy(region.clouds_yaml, given.clouds)
        signal.pause()
    finally:
        upstream.stop()
        if region:
            region.stop()


if __name__ == "__main__":
    main()
