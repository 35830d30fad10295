"""What Singer sees of a stream: SCHEMA, RECORD lines and STATE out, catalog and STATE in."""
