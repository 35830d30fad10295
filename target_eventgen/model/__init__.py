"""What is known before a record comes: tables, rules, routes, settings; values without I/O."""
