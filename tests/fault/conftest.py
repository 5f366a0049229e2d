import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "http"))
sys.dont_write_bytecode = True

from conftest_shared import *  # noqa: F401,F403,E402
