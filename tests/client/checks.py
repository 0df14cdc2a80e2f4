"""Counts checks by name and says which failed and why."""


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, []

    def that(self, name, condition, detail=""):
        if condition:
            self.passed += 1
            print("ok      " + name, flush=True)
        else:
            self.failed.append(name)
            print("FAILED  %s\n        %s" % (name, str(detail).strip().replace("\n", "\n        ")), flush=True)
        return bool(condition)

    def equal(self, name, got, wanted):
        return self.that(name, got == wanted, "got %r, wanted %r" % (got, wanted))

    def refused(self, name, result, *words):
        """A command that has to fail, naming the status code or another word in what it prints."""
        said = (result.out + result.err).lower()
        wrong = [word for word in words if word.lower() not in said]
        traceback = "traceback (most recent" in said
        return self.that(name, result.code != 0 and not wrong and not traceback, "missing %s in\n%s" % (wrong, result))

    def end(self):
        print("%d passed, %d failed" % (self.passed, len(self.failed)), flush=True)
        return 1 if self.failed else 0
