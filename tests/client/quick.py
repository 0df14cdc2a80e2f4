"""The unmodified `openstack` command without its start-up: imported once, then one forked process per command.

Each command is a fresh process with nothing left over from the one before; only Python's imports are shared.
"""
import importlib
import os
import sys
import tempfile
import time

from cli import Cli, Result


class Ended:
    def __init__(self, returncode, stdout, stderr):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


class QuickCli(Cli):
    def __init__(self, clouds_yaml, cloud, typical=(("notification", "list"),)):
        """`typical` commands are run once to learn what they import."""
        super().__init__("openstack", clouds_yaml, cloud)
        for name in [n for n in os.environ if n.startswith("OS_")]:
            del os.environ[name]
        os.environ.update(OS_CLIENT_CONFIG_FILE=clouds_yaml, OS_CLOUD=cloud, COLUMNS="200", PYTHONWARNINGS="ignore",
                          OS_COMPUTE_API_VERSION="2.94", NO_PROXY="*", no_proxy="*")
        from openstackclient import shell
        self.main = shell.main
        for words in typical:
            self._import_what_is_imported_by(words)

    def run(self, *words, cloud=None, environment=()):
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                self._child(words, out, err, cloud, dict(environment))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            err.seek(0)
            ended = Ended(code, out.read(), err.read())
        took = time.monotonic() - start
        self.calls += 1
        self.seconds += took
        return Result(" ".join(words), ended, took)

    def together(self, *commands):
        """A process that forks has one thread: one after the other, which is quick enough."""
        return [self.json(*words) for words in commands]

    def _import_what_is_imported_by(self, words):
        """Imports are all that is shared: a child tells which ones a command makes, and this process makes them too."""
        with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as out:
            child = os.fork()
            if child == 0:
                self._child(words, out, out, None, {}, told)
            os.waitpid(child, 0)
            told.seek(0)
            for name in told.read().split():
                if name not in sys.modules:
                    try:
                        importlib.import_module(name)
                    except ImportError:
                        pass  # an alias some package has put there

    def _child(self, words, out, err, cloud, environment, modules=None):
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.update(environment)
            if cloud:
                os.environ["OS_CLOUD"] = cloud
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            try:
                code = self.main(list(words))
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
            sys.stdout.flush()
            sys.stderr.flush()
            if modules:
                print("\n".join(sys.modules), file=modules, flush=True)
        finally:
            os._exit(code if isinstance(code, int) else 1)
