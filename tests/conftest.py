"""What all tests share."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# A test says what is right and not how fast it is: a busy machine fails none.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: a test that
# presses Ctrl-C would wait for ever. What is handled here is as usual in the children.
signal.signal(signal.SIGINT, signal.default_int_handler)
