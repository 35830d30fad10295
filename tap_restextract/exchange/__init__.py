"""One request and one answer, as values: what is sent, and what an answer says."""
