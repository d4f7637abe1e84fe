"""The suites' asserts say what they saw, as those of test modules do."""

import pytest

for suite in ("log", "keyring", "checkpoints", "lines", "storage"):
    pytest.register_assert_rewrite(f"skep.testing.{suite}_suite")
