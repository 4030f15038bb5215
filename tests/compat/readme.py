"""Prints the README of the installed `langcache` as JSON."""

import json
from importlib.metadata import metadata

found = metadata("langcache")
print(json.dumps(found.get_payload() or found["Description"]))
