"""The other ways to do govern's job, each a program of its own: ``python -m benchmarks.ways.<way> ORDERS``."""
