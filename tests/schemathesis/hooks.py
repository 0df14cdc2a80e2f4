"""What a schema cannot say: rows that must exist, and headers that decide about bodies."""
import os

import schemathesis

# Hosts that the region's Nova knows, and that are in a segment already.
KNOWN_TO_NOVA = os.environ["TACHI_NOVA_HOSTS"].split(",")
PROTECTED = os.environ["TACHI_PROTECTED_HOSTS"].split(",")


def spread(text, choices):
    """The same choice for the same text."""
    return choices[sum(str(text).encode("utf-8", "replace")) % len(choices)]


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    speak_what_the_document_describes(case)
    name_rows_that_exist(case)
    give_as_many_directions_as_keys(case)


def speak_what_the_document_describes(case):
    # A random text is no entry of ours, which means 1.0, and 1.0 does not take every field of the newest schema.
    if case.operation.definition.raw.get("tags") != ["service"] and case.headers is not None:
        case.headers["OpenStack-API-Version"] = "instance-ha 1.3"


def name_rows_that_exist(case):
    if case.query:
        case.query.pop("marker", None)
    body = case.body
    if not isinstance(body, dict):
        return
    host = body.get("host")
    if isinstance(host, dict) and "name" in host:
        host["name"] = spread(host["name"], KNOWN_TO_NOVA)
    notification = body.get("notification")
    if isinstance(notification, dict) and "hostname" in notification:
        notification["hostname"] = spread(notification["hostname"], PROTECTED)


def give_as_many_directions_as_keys(case):
    if not case.query or "sort_dir" not in case.query:
        return
    keys, directions = case.query.get("sort_key", ["created_at"]), case.query["sort_dir"]
    if isinstance(keys, list) and isinstance(directions, list):
        case.query["sort_dir"] = directions[:max(len(keys), 1)]
