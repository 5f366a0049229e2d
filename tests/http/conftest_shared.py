import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from courant import Stack, until  # noqa: E402


@pytest.fixture(scope="session")
def stack():
    stack = Stack()
    until(lambda: stack.client().get("/readyz").status == 200, what="the stack")
    return stack


@pytest.fixture(scope="session")
def admin(stack):
    return stack.admin()
