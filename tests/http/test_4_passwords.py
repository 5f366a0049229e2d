"""Passwords that change while they are being used: what was checked must hold at the moment of the change."""

import threading

import pytest

from courant import Session, until
from test_4_accounts import Person, events_of

NEW = "a password of the owner"


@pytest.fixture
def person(stack):
    return Person(stack)


def hash_of(stack, id):
    return stack.sql(f"SELECT password_hash FROM credentials WHERE user_id = '{id}'")[0][0]


def while_locked(stack, person, call, change):
    """The answer to a call that has checked what it must and waits for the account's row, while the change is made."""
    answers = []
    with Session(stack) as session:
        session.run(f"START TRANSACTION; SELECT id FROM users WHERE id = '{person.id}' FOR UPDATE")
        thread = threading.Thread(target=lambda: answers.append(call()))
        thread.start()
        waiting = "SELECT 1 FROM information_schema.processlist WHERE user = 'courant' AND info LIKE '%FROM users WHERE%FOR UPDATE'"
        until(lambda: answers or stack.root(waiting), what="the wait for the row")
        assert not answers, answers[0].body
        session.run(change + "; COMMIT")
        thread.join()
    return answers[0]


def changed(stack, person):
    """Statements that set another password, as a command does that came first."""
    other = Person(stack, "oth")
    return (f"UPDATE credentials SET password_hash = '{hash_of(stack, other.id)}' WHERE user_id = '{person.id}'; "
            f"DELETE FROM sessions WHERE user_id = '{person.id}'"), hash_of(stack, other.id)


@pytest.mark.parametrize("outdated", [False, True])
def test_a_login_does_not_survive_a_change_that_it_runs_across(stack, person, outdated, tmp_path):
    if outdated:  # then the login would write the hash anew
        config = tmp_path / "courant.conf"
        config.write_text(open(stack.env["COURANT_CONFIG"]).read() + "[auth]\nargon2_ops = 2\nargon2_memory = 8388608\n")
        done = stack.ctl("user", "passwd", person.name, "--password-stdin", input=person.password, config=str(config))
        assert done.returncode == 0 and "t=2" in hash_of(stack, person.id), done.stderr
    change, new = changed(stack, person)
    before = events_of(stack, person.id)
    login = {"username": person.name, "password": person.password}
    answer = while_locked(stack, person, lambda: stack.client().post("/api/auth/login", login), change)
    # It may have been the same password, stored anew by another login: whoever tries again is told.
    assert answer.problem(503) and not answer.cookies
    assert hash_of(stack, person.id) == new
    assert stack.sql(f"SELECT COUNT(*) FROM sessions WHERE user_id = '{person.id}'") == [["0"]]
    assert events_of(stack, person.id) == before


def test_a_change_that_another_one_has_overtaken_is_refused(stack, person):
    change, new = changed(stack, person)
    before = events_of(stack, person.id)
    body = {"password": NEW, "current_password": person.password}
    answer = while_locked(stack, person, lambda: person.client.call("PUT", person.where + "/password", body), change)
    assert answer.problem(403)
    assert hash_of(stack, person.id) == new and events_of(stack, person.id) == before


def test_a_login_that_waits_for_nothing_to_change_goes_on(stack, person):
    login = {"username": person.name, "password": person.password}
    assert while_locked(stack, person, lambda: stack.client().post("/api/auth/login", login), "SELECT 1").status == 200


def test_who_is_demoted_meanwhile_changes_nothing(stack, person, admin):
    """What was asked for before the demotion, and would be done after it, is not done."""
    where, any_version = person.where + "/permissions", {"If-Match": "*"}
    assert admin.call("PUT", where, {"permissions": ["user_admin"]}, headers=any_version).status == 200
    body = {"permissions": ["user_admin", "audit_read"]}
    answer = while_locked(stack, person, lambda: person.client.call("PUT", where, body, headers=any_version),
                          f"UPDATE users SET permissions = '' WHERE id = '{person.id}'")
    answer.problem(403)
    assert stack.sql(f"SELECT permissions FROM users WHERE id = '{person.id}'") in ([[""]], [[]])
    stack.sql(f"UPDATE users SET permissions = 'user_admin' WHERE id = '{person.id}'")


def test_a_token_is_not_made_in_a_session_that_has_ended(stack, person):
    answer = while_locked(stack, person, lambda: person.client.post("/api/auth/tokens", {"name": "late", "scopes": ["read"]}),
                          f"DELETE FROM sessions WHERE user_id = '{person.id}'")
    answer.problem(403)
    assert stack.sql(f"SELECT COUNT(*) FROM api_tokens WHERE user_id = '{person.id}'") == [["0"]]
