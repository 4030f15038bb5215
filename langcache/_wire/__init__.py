"""Requests, replies and the base class of models, as plain values. No I/O."""
