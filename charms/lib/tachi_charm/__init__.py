"""What the charms of Tachi share. A charm publishes what it wants, reads what it was given, renders files, and starts services.

Every hook does all of it anew (`base.Charm.reconcile`): a hook that was lost or ran half-way is made up for by the next one.
"""
