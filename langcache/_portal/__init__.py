"""The event loop of the blocking client, on a thread of its own."""
