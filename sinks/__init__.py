"""Where accepted records go: the ClickHouse credit store and the Redis hot cache."""
