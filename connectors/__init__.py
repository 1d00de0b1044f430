"""How records come in and how feedback goes out to the units.

A connector is one file or one folder of this package that defines ``CONNECTOR``; :func:`connectors.base.discover` finds
it. A folder has the same rooms each time: config (what a user may set), reader (the outside → rows), encoder (a row → a
message) and sender (messages → Kafka).
"""
