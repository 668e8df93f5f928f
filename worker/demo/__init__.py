"""``rowcall demo``: an agent platform in miniature, one of whose two workers is killed half-way, and the proof in SQL.

Nothing is imported here, because the executors are started from this package too, and may know no database.
"""
