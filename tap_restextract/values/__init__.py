"""JSON values: rows, paths into them, cursors and their ranks."""
