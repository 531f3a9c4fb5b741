"""The classes of errors: what each carries, and that they survive a trip to another process."""

from __future__ import annotations

import pickle

import pytest

from execlayer import _core, errors
from execlayer.errors import ExeclayerError, InvalidNonce, NonceTooLow, TransactionRejected

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ExeclayerError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_carries_its_numbers_and_can_be_pickled(cls: type[ExeclayerError]) -> None:
    fields = {name: index for index, name in enumerate(cls.fields)}
    error = pickle.loads(pickle.dumps(cls("what was wrong", **fields)))
    assert type(error) is cls
    assert str(error) == "what was wrong"
    assert {name: getattr(error, name) for name in cls.fields} == fields


def test_an_error_is_not_made_without_its_numbers() -> None:
    with pytest.raises(TypeError, match="expected"):
        NonceTooLow("no numbers")
    with pytest.raises(TypeError, match="surplus"):
        NonceTooLow("one too many", expected=1, actual=0, surplus=3)


def test_families_can_be_caught_as_one() -> None:
    assert issubclass(NonceTooLow, InvalidNonce) and issubclass(InvalidNonce, TransactionRejected)
    assert NonceTooLow.fields == ("expected", "actual")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_says_what_it_means(cls: type[ExeclayerError]) -> None:
    assert (cls.__doc__ and cls.__doc__ != ExeclayerError.__doc__) or cls is ExeclayerError


def test_rust_and_python_agree_on_every_reason() -> None:
    for name, fields in _core.reasons():
        assert set(getattr(errors, name).fields) == set(fields), name


def test_every_class_is_raised_by_rust_or_by_python_or_is_a_family() -> None:
    raised = {name for name, _ in _core.reasons()} | {"CannotListen", "InvalidConfig", "StillWaiting"}
    families = {base.__name__ for cls in CLASSES for base in cls.__bases__}
    assert {cls.__name__ for cls in CLASSES} == raised | (families & set(vars(errors)))
