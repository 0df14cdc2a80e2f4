"""Whether two of Nova's evacuation records of one instance were alive at once."""
import datetime

# A record that nobody has picked up: Nova's API, its broker or a conductor may hold the message behind it for so long.
LOST_AFTER = 300
OVER = ("done", "completed", "failed", "error", "cancelled", "confirmed")


def _when(text):
    return datetime.datetime.fromisoformat(text.rstrip("Z")) if text else None


def _waits(record):
    """Nobody has picked it up."""
    return record["status"] == "accepted" and not record["dest_compute"]


def _overlap(one, following):
    begun, again = _when(one["created_at"]), _when(following["created_at"])
    # Nova's rebuild works on the oldest open record, whichever was asked for: one of two that never moves is the lost one.
    if (again - begun).total_seconds() >= LOST_AFTER and (_waits(one) or _waits(following)):
        return False
    ended = (_when(one["updated_at"]) or begun) if one["status"] in OVER else datetime.datetime.max
    return ended > again


def overlaps(records, given_up=()):
    """(instance, one record, the next) of those that overlap. `given_up`: records of which a person has said that nothing
    will come of them."""
    found, by_instance = [], {}
    for record in records:
        by_instance.setdefault(record["instance_uuid"], []).append(record)
    for instance, mine in by_instance.items():
        mine.sort(key=lambda record: record["id"])
        for one, following in zip(mine, mine[1:]):
            if one["id"] not in given_up and _overlap(one, following):
                found.append((instance, *((r["id"], r["status"], r["dest_compute"], r["created_at"], r["updated_at"])
                                          for r in (one, following))))
    return found
