"""The breaking machine's plan, without a stack: the seed decides it, and nothing else does."""

import itertools
import random

import plan


def steps(make, count=300):
    return [str(step) for step in itertools.islice(make, count)]


def test_a_seed_makes_one_plan():
    for seed in 1, 7:
        assert plan.digest(seed) == plan.digest(seed)
        for kinds in plan.SERVERS, plan.STEPS:
            assert steps(plan.faults(seed, kinds)) == steps(plan.faults(seed, kinds))
    assert plan.digest(1) != plan.digest(7)
    assert steps(plan.commands(1, 0)) != steps(plan.commands(1, 1))


def test_what_a_step_draws_changes_no_other():
    """As timing does: one run draws more than the other, and from Python's own generator too."""
    def drawn(make, count):
        found = []
        for step in itertools.islice(make, 100):
            for _ in range(count):
                step.dice.random()
                random.random()
            found.append(str(step))
        return found

    for make in lambda: plan.commands(3, 5), lambda: plan.faults(3, plan.STEPS):
        assert drawn(make(), 0) == drawn(make(), 9)


def test_each_kind_strikes_and_some_only_once():
    for kinds in plan.SERVERS, plan.STEPS:
        found = [step.kind for step in itertools.islice(plan.faults(11, kinds), 200)]
        assert sorted(found[:len(kinds)]) == sorted(kinds)
        for kind in plan.ONCE & set(kinds):
            assert found.count(kind) == 1
    assert plan.ONCE <= {*plan.SERVERS, *plan.STEPS} and set(plan.COMMANDS) == {
        step.kind for step in itertools.islice(plan.commands(11, 0), 2000)}
