"""From a stream's facts to the walk that is safe for them, or to a named error."""
