"""Features in the type that they are stored in."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.errors import DataError, MissingExtraError, UsageError
from probe4d.store.dtypes import as_dtype, as_stored, dtype_name, widen


@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=50))
def test_bfloat16_is_rounded_as_ml_dtypes_rounds(values):
    given_values = np.array(values, np.float32)
    bits = as_stored(given_values, "bfloat16", "here")
    assert np.array_equal(bits, given_values.astype(ml_dtypes.bfloat16).view(np.uint16))
    assert np.array_equal(widen(bits), given_values.astype(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_features_already_in_bfloat16_are_kept_or_widened(dtype):
    values = np.array([1.0, -2.5, 3.140625], ml_dtypes.bfloat16)
    stored = as_stored(values, dtype, "here")
    wide = widen(stored) if dtype == "bfloat16" else stored.astype(np.float32)
    assert np.array_equal(wide, values.astype(np.float32))


@pytest.mark.parametrize(("dtype", "value"), [("float16", 65520.0), ("bfloat16", 3.4e38), ("float32", 1e39)])
def test_a_value_beyond_the_type_is_an_error_not_infinity(dtype, value):
    with pytest.raises(DataError, match=rf"here: expected features within the range of {dtype}, got"):
        as_stored(np.array([1.0, value]), dtype, "here")


def test_integers_are_no_features():
    with pytest.raises(UsageError, match="expected floats, got int64"):
        as_stored(np.arange(3), "float16", "here")


def test_text_is_no_target_type():
    with pytest.raises(UsageError, match="got 'str"):
        dtype_name(np.array(["a"]).dtype)


def test_bfloat16_without_ml_dtypes_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingExtraError, match="pip install ml_dtypes"):
        as_dtype("bfloat16")
