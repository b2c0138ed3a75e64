"""Tables: reading and writing files, schemas, columns and cells."""
