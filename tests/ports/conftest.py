"""The suites' asserts say what they saw, as those of test modules do; `log_places` is for the modules beside it."""

import sys
from pathlib import Path

import pytest

for suite in ("log", "keyring", "checkpoints", "lines", "storage"):
    pytest.register_assert_rewrite(f"skep.testing.{suite}_suite")

sys.path.insert(0, str(Path(__file__).parent))
