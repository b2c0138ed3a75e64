"""Tables: files, schemas, columns and dtypes."""
