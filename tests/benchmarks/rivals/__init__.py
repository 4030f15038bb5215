"""One module for each way to talk to the service.

Each has ``connect(url, cache_id)``, a context manager, async or not, that gives the operations by name:
callables without arguments that return the response found, or the id stored, or an awaitable of it.
"""
