"""More rows than memory holds: made in shards on any engine, and tables read as streams."""
