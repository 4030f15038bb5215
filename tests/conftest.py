"""What all tests share."""

import contextlib
import signal
import sys
import threading

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# A test says what is right and not how fast it is: a busy machine fails none.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: a test that
# presses Ctrl-C would wait for ever. What is handled here is as usual in the children.
signal.signal(signal.SIGINT, signal.default_int_handler)

if sys.version_info < (3, 11):
    # Where pytest-asyncio needs a backport of asyncio.Runner, that gives a task its context by replacing
    # contextvars.copy_context for a moment: for every thread, so that a portal's task that starts just then
    # gets it too, and never runs. Here it is replaced for the thread that asks for it.
    with contextlib.suppress(ImportError):
        from backports.asyncio.runner import runner as backport

        replace = backport._patch_object

        def replace_in_this_thread(target, attribute, new):
            here, old = threading.get_ident(), getattr(target, attribute)

            def either(*args, **kwargs):
                return (new if threading.get_ident() == here else old)(*args, **kwargs)

            return replace(target, attribute, new if isinstance(new, type) else either)

        backport._patch_object = replace_in_this_thread
