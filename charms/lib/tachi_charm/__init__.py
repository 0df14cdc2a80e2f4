"""Shared code of Tachi's charms. A charm publishes its requests, reads the answers, renders files, and starts services.

Every hook repeats all of this (`base.Charm.reconcile`), so the next hook completes a hook that was lost or interrupted.
"""
