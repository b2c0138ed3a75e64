"""Files, schemas, columns and cells."""
