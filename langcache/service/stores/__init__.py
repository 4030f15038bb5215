"""The places that keep entries, in memory or in a SQLite file, and the search among them."""
