"""The harness is a module of this folder, which is on the path for its own tests only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
