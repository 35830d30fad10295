"""Webhooks: received safely, kept in a queue, drained as a Singer stream.

Theory of operation. A receiver verifies a request, stores what it reports, and only then answers 2xx; many requests
share one commit. The queue keeps notifications in an order of its own, as they came: its sender's order is nobody's
promise, and the target puts versions right under each row's lock. A run first lets go of what the STATE that came as
input covers, then emits what lies after it, with STATEs that name the position. So whatever dies when, a notification
leaves the queue only once it is known to be loaded.
"""
