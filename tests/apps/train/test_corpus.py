"""Text files as numbers, and the windows cut from them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unfold.apps.train import corpus as texts
from unfold.apps.train.corpus import BadText, Rows, read, split


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "some.txt"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def test_a_text_comes_back_from_its_numbers(write):
    text = "Ein Öl, 漢字 und 𝄞\r\n" * 3
    vocabulary, codes = read(write(text))
    assert vocabulary.decode(codes) == text
    assert vocabulary.characters == "".join(sorted(set(text)))
    assert np.array_equal(vocabulary.encode(text), codes)


def test_characters_cut_by_a_piece_are_whole(write, monkeypatch):
    monkeypatch.setattr(texts, "PIECE", 1)
    text = "a€𝄞漢" * 5
    vocabulary, codes = read(write(text))
    assert vocabulary.decode(codes) == text


def test_a_byte_order_mark_is_no_character(write):
    vocabulary, _ = read(write(b"\xef\xbb\xbfab"))
    assert vocabulary.characters == "ab"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty: predicting the next character takes at least two"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a", "has a single character"),
        (b"ab\x00c", "is not text: a zero byte at 2"),
        (b"caf\xe9 noir", "is not UTF-8 text: byte 0xe9 at 3 .*iconv -f latin1 -t utf-8 some.txt"),
        (b"abc\xe2\x82", "is not UTF-8 text: byte 0xe2 at 3"),
        ("ab".encode("utf-16"), "is UTF-16, not UTF-8; convert it: iconv -f UTF-16"),
        ("ab".encode("utf-32"), "is UTF-32, not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(write, data, message):
    with pytest.raises(BadText, match=message):
        read(write(data))


def test_the_place_of_a_bad_byte_is_exact_beyond_the_first_piece(write, monkeypatch):
    monkeypatch.setattr(texts, "PIECE", 7)
    with pytest.raises(BadText, match="byte 0xff at 31 "):
        read(write("é".encode() * 15 + b"a\xff"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(BadText, match="cannot be read: No such file"):
        read(tmp_path / "none.txt")
    with pytest.raises(BadText, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_character_outside_the_vocabulary_is_named(write):
    vocabulary, _ = read(write("ab"))
    with pytest.raises(BadText, match="'z' is not in the text"):
        vocabulary.encode("abz")


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 40))
def test_windows_read_every_row_once_and_in_order(length, streams, steps):
    codes = np.arange(length)
    windows = Rows.fit(codes, streams, steps)
    x = np.concatenate([windows[k][0] for k in range(len(windows))])
    y = np.concatenate([windows[k][1] for k in range(len(windows))])
    assert np.array_equal(y, x + 1)
    assert np.array_equal(x.T.ravel(), np.arange(windows.streams * windows.length))
    assert length - 1 - x.size < windows.streams
    assert windows.streams <= streams
    assert windows.steps <= steps


def test_a_split_keeps_order_and_leaves_tiny_texts_whole():
    train, validation = split(np.arange(100), 0.1)
    assert (len(train), validation[0]) == (90, 90)
    assert [len(part) for part in split(np.arange(5), 0.1)] == [5, 0]
    assert [len(part) for part in split(np.arange(100), 0.0)] == [100, 0]
