"""Bookmarks: what STATE keeps of a stream, a class for each form of it."""
