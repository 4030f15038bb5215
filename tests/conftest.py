"""What all tests share."""

import signal

pytest_plugins = ["pytester"]

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: a test that
# presses Ctrl-C would wait for ever. What is handled here is as usual in the children.
signal.signal(signal.SIGINT, signal.default_int_handler)
