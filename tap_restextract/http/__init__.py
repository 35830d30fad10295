"""Requests over the wire: the only sockets, threads and clocks of the tap."""
