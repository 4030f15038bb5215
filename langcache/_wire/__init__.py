"""The values that go over the wire, and what they are made of. No I/O."""
