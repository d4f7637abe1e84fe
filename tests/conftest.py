"""What holds for all tests."""

from hypothesis import settings

# a busy machine is no failure: nothing here is a timed test
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
