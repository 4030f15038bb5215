"""One call of an operation: request, key, retries, connections, reply."""
