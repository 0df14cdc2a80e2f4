"""Runs the unmodified `openstack` command, one process per command as an operator would, and reads its answer."""
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor


class CommandFailed(Exception):
    """A command that had to work did not."""


class Result:
    def __init__(self, command, process, seconds):
        self.command, self.seconds = command, seconds
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    def __str__(self):
        return "$ openstack %s\nexit %s\n%s%s" % (self.command, self.code, self.out[-1500:], self.err[-1500:])


class Cli:
    def __init__(self, binary, clouds_yaml, cloud):
        self.binary, self.clouds_yaml, self.cloud = binary, clouds_yaml, cloud
        self.calls, self.seconds = 0, 0.0

    def run(self, *words, cloud=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        environment.update(OS_CLIENT_CONFIG_FILE=self.clouds_yaml, OS_CLOUD=cloud or self.cloud, COLUMNS="200",
                           OS_COMPUTE_API_VERSION="2.94", PYTHONWARNINGS="ignore", NO_PROXY="*", no_proxy="*")
        start = time.monotonic()
        process = subprocess.run(
            [self.binary, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        took = time.monotonic() - start
        self.calls += 1
        self.seconds += took
        return Result(" ".join(words), process, took)

    def ok(self, *words, cloud=None):
        """The output of a command that has to work."""
        result = self.run(*words, cloud=cloud)
        if result.code != 0:
            raise CommandFailed(str(result))
        return result.out

    def json(self, *words, cloud=None):
        out = self.ok(*words, "-f", "json", cloud=cloud)
        try:
            return json.loads(out)
        except ValueError as error:
            raise CommandFailed("$ openstack %s\nnot JSON: %s" % (" ".join(words), out[-800:])) from error

    def together(self, *commands):
        """Results of independent reads, two at a time (there are two cores)."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda words: self.json(*words), commands))

    def until(self, what, words, condition, seconds=60):
        """Asks again until `condition(answer)` is true."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.json(*words)
            if condition(answer):
                return answer
            if time.monotonic() > deadline:
                raise CommandFailed("waited %s s for %s: $ openstack %s\n%s" % (
                    seconds, what, " ".join(words), json.dumps(answer, indent=1)[-1500:]))
