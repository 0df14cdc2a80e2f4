"""What a schema cannot say: rows that must exist, and a header that decides about bodies. Also counts what was answered."""
import atexit
import collections
import json
import os
import unicodedata

import schemathesis

# Compute hosts that Nova has, of which some are in a segment already, and rows that are there from the beginning.
SCENE = json.loads(os.environ["TACHI_SCENE"])
SEEN = collections.Counter()


def spread(text, choices):
    """The same choice for the same text."""
    return choices[sum(str(text).encode("utf-8", "replace")) % len(choices)]


@schemathesis.hook
def before_call(context, case, kwargs):
    keep_the_scene(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    speak_what_the_document_describes(case)
    read_rows_that_exist(case)
    delete_what_may_go(case)
    name_hosts_that_exist(case)
    give_as_many_directions_as_keys(case)
    write_what_is_printable(case.body)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # A good request about a row of the wrong kind: only a host's notification has moves, and Masakari says 400 of others.
    rejected = type(failure).__name__ == "RejectedPositiveData"
    # What a word is about depends on the word, and the reason has to fit beside the user's name, whose length no schema knows.
    # How long something is frozen depends on force, and whether it has a name on how much it is. Of two moments one is the later.
    told = ("without vm moves", "applies to a", "field/attribute reason", "field/attribute lasts_seconds", "field/attribute name",
            "`to` is before `from`", "`from` and `to` are more than a day apart")
    return not (rejected and response.status_code == 400 and any(text in response.text for text in told))


@schemathesis.hook
def after_call(context, case, response):
    SEEN["%s %s" % (case.operation.definition.raw["operationId"], response.status_code)] += 1


@atexit.register
def tell():
    with open(os.environ["TACHI_SEEN"], "w", encoding="utf-8") as f:
        json.dump(SEEN, f)


def keep_the_scene(case):
    # Ids are learnt from lists too. What is there from the beginning is for reading, or nothing could be reported any more.
    path = case.path_parameters
    if case.method not in ("PUT", "DELETE") or not path:
        return
    # A row's number names it too, and it is unknown which row that is.
    for name in path:
        if name != "freeze" and str(path[name]).isdigit():
            path[name] = "00000000-0000-4000-8000-000000000000"
    if path.get("host") in SCENE["hosts"] or ("host" not in path and path.get("segment") in SCENE["segments"]):
        path["segment"] = "00000000-0000-4000-8000-000000000000"


def speak_what_the_document_describes(case):
    # A random text is no entry of ours, which means 1.0, and 1.0 does not take every field of the newest schema.
    if case.operation.definition.raw["tags"] != ["service"] and case.headers is not None:
        case.headers["OpenStack-API-Version"] = "instance-ha 1.3"


def read_rows_that_exist(case):
    # A random UUID is nowhere; every other read is of something that is there.
    if case.method != "GET" or not case.path_parameters:
        return
    drawn = json.dumps(case.path_parameters, default=str, sort_keys=True)
    if spread(drawn, [True, False]):
        for name in case.path_parameters:
            if name in SCENE["rows"]:
                case.path_parameters[name] = SCENE["rows"][name]


def delete_what_may_go(case):
    # Where hosts fail all the time, hardly one that was just made is in a segment of which nothing is being recovered. A chain of
    # requests goes on with the rows that it has made.
    path = case.path_parameters or {}
    if case.meta.phase.name == "stateful":
        return
    if case.method == "DELETE" and {"segment", "host"} == set(path):
        drawn = json.dumps(path, default=str, sort_keys=True)
        if spread(drawn, [True, False]):
            path.update(spread(drawn, SCENE["deletable"]))


def name_hosts_that_exist(case):
    if case.query:
        case.query.pop("marker", None)
    body = case.body
    if not isinstance(body, dict):
        return
    word = body.get("word")
    if isinstance(word, dict) and spread(json.dumps(word, default=str, sort_keys=True), [True, False]):
        body["word"] = {"word": "approve", "recovery": SCENE["rows"]["recovery"]}
    freeze = body.get("freeze")
    if isinstance(freeze, dict) and spread(json.dumps(freeze, default=str, sort_keys=True), [True, False]):
        freeze.update(scope="host", name=spread(json.dumps(freeze, default=str), SCENE["protected"]), force=True)
    failure = body.get("failure")
    if isinstance(failure, dict) and "hostname" in (case.path_parameters or {}):
        case.path_parameters["hostname"] = spread(json.dumps(failure, default=str), SCENE["protected"])
    drain = body.get("drain")
    if isinstance(drain, dict) and "hostname" in (case.path_parameters or {}):
        case.path_parameters["hostname"] = spread(json.dumps(drain, default=str), SCENE["empty"])
    host = body.get("host")
    if isinstance(host, dict) and "name" in host:
        host["name"] = spread(host["name"], SCENE["free"])
    notification = body.get("notification")
    if isinstance(notification, dict) and "hostname" in notification:
        notification["hostname"] = spread(notification["hostname"], SCENE["protected"])


def write_what_is_printable(value):
    # The generator takes \p{...} of a pattern for blocks that are not quite it: some of what is in them is not assigned, or is a line
    # feed or a blank. Only a description may have line feeds, and blanks at its ends.
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, str):
            more = ("Zs",) if key != "description" else ("Zs", "\n")
            text = "".join(c if unicodedata.category(c)[0] in "LMNPS" or unicodedata.category(c) in more or c in more else "x" for c in inner)
            if key != "description" and text.strip() != text:
                text = "x" + text[1:-1] + "x"
            value[key] = text
        else:
            write_what_is_printable(inner)


def give_as_many_directions_as_keys(case):
    if not case.query or "sort_dir" not in case.query:
        return
    keys, directions = case.query.get("sort_key", ["created_at"]), case.query["sort_dir"]
    if isinstance(keys, list) and isinstance(directions, list):
        case.query["sort_dir"] = directions[:max(len(keys), 1)]
