"""More rows than fit in memory: generated in shards on any engine, or read as streams."""
