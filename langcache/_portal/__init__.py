"""An event loop on a thread of its own, for the client that blocks."""
