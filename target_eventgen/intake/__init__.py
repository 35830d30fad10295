"""Singer lines in: read, validated, written as lines of COPY."""
