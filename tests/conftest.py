"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# a busy machine is no failure: nothing here is a timed test
settings.register_profile("patient", deadline=None)
# other examples in every run, and many: `pytest --hypothesis-profile=searching tests/docker_api/test_fuzz.py`
settings.register_profile("searching", deadline=None, max_examples=1_000, suppress_health_check=list(HealthCheck))
settings.load_profile("patient")
