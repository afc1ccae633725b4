import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_pipelines.model.errors import SetupError
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.sealing import KeyRing, new_key

OLD, NEW = new_key(), new_key()


def ring(*keys):
    return KeyRing(tuple(Secret(key) for key in keys))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_what_is_sealed_opens_again(text):
    box = ring(NEW)

    assert box.open(box.seal(text, about="x"), key_id=box.sealing_key, about="x") == text


@pytest.mark.parametrize("key", ["insecure-development-key", "é", "a" * 500, pytest.param(OLD, id="made")])
def test_any_text_is_a_key(key):
    sealed = ring(key).seal("secret", about="x")

    assert ring(key).open(sealed, key_id=ring(key).sealing_key, about="x") == "secret"


def test_the_first_key_seals_and_all_of_them_open():
    sealed = ring(OLD).seal("secret", about="x")
    both = ring(NEW, OLD)

    assert both.sealing_key == ring(NEW).sealing_key
    assert both.open(sealed, key_id=ring(OLD).sealing_key, about="x") == "secret"


def test_a_missing_key_names_the_setting_and_what_to_do():
    sealed = ring(OLD).seal("secret", about="connection 7")

    with pytest.raises(SetupError, match=r"SYNC_PIPELINES_ENCRYPTION_KEYS.*connect again") as refused:
        ring(NEW).open(sealed, key_id=ring(OLD).sealing_key, about="connection 7")
    assert "connection 7" == refused.value.detail not in str(refused.value)


def test_a_sealed_text_opens_only_where_it_belongs():
    box = ring(NEW)
    sealed = box.seal("secret", about="connection 1")

    with pytest.raises(SetupError, match="not open them any more"):
        box.open(sealed, key_id=box.sealing_key, about="connection 2")


@pytest.mark.parametrize("place", [0, 15, -1])
def test_a_changed_text_does_not_open(place):
    box = ring(NEW)
    changed = bytearray(base64.urlsafe_b64decode(box.seal("secret", about="x")))
    changed[place] ^= 1

    with pytest.raises(SetupError, match="not open them any more"):
        box.open(base64.urlsafe_b64encode(changed).decode(), key_id=box.sealing_key, about="x")


def test_the_same_text_is_never_sealed_the_same_way_twice():
    assert ring(NEW).seal("secret", about="x") != ring(NEW).seal("secret", about="x")


def test_without_a_key_the_command_that_makes_one_is_named():
    with pytest.raises(SetupError, match="sync-pipelines key new"):
        KeyRing(())


def test_keys_do_not_show():
    assert OLD not in repr(ring(OLD)) + repr(vars(ring(OLD)))
