"""Embeddings on disk: the same as before, bounded, proof against damage and other processes."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from cached_embeddings import MODEL, assert_same, made, sha, use_at_random
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from toys import TILED_LITE

from napari_safire import Engine, basis, load_model
from napari_safire.atomic import atomic_path
from napari_safire.engine import cache as cache_module
from napari_safire.engine.cache import CacheUsage, EmbeddingCache
from napari_safire.errors import Cancelled
from napari_safire.geometry import Geometry
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.types import Embedding

tables = settings(max_examples=60)


def entry(cache: EmbeddingCache) -> Path:
    """The file of the only entry."""
    (path,) = cache.folder.iterdir()
    return path


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "not" / "there yet")


@pytest.fixture
def three(tmp_path: Path) -> EmbeddingCache:
    """A cache with room for three embeddings, which holds a, b and c."""
    cache = EmbeddingCache(tmp_path)
    for name in "abc":
        assert cache.put(made(name))
    cache.max_bytes = cache.usage().bytes
    return cache


def held(cache: EmbeddingCache, names: str) -> str:
    """Which of the pictures are there; looks at files alone, because `get` counts as a use."""
    paths = {name: cache._path(sha(name), MODEL) for name in names}
    return "".join(name for name, path in paths.items() if path.exists())


# -- there and back ------------------------------------------------------------------------------


def test_what_was_put_comes_back(cache: EmbeddingCache):
    assert cache.usage() == CacheUsage(0, 0)
    assert cache.get(sha("a"), MODEL) is None
    assert cache.put(made("a"))
    assert cache.problem == ""
    found = cache.get(sha("a"), MODEL)
    assert_same(found, made("a"))
    assert found is not None
    assert found.features.flags.writeable  # torch warns of arrays that are not
    assert cache.usage() == CacheUsage(1, entry(cache).stat().st_size)


@tables
@given(
    arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=5)),
    st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)),
    st.lists(st.text()),
)
def test_any_embedding_comes_back_bit_for_bit(
    features: np.ndarray, content: tuple[float, float], warnings: list[str]
):
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder))
        geometry = Geometry((7, 9), (16, 16), content)
        embedding = Embedding(features, geometry, sha("a"), MODEL, tuple(warnings))
        assert cache.put(embedding)
        assert_same(cache.get(sha("a"), MODEL), embedding)


def test_features_in_any_order_in_memory(cache: EmbeddingCache):
    embedding = made("a")
    turned = dataclasses.replace(embedding, features=np.asfortranarray(embedding.features))
    assert cache.put(turned)
    assert_same(cache.get(sha("a"), MODEL), embedding)


def test_another_picture_model_or_preprocessing_is_another_entry(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    cache.put(made("a"))
    assert cache.get(sha("b"), MODEL) is None
    assert cache.get(sha("a"), "d" * 64) is None
    monkeypatch.setattr(cache_module, "ALGORITHM", basis.ALGORITHM + 1)
    assert cache.get(sha("a"), MODEL) is None
    assert cache.usage().entries == 1  # it is not damaged: an older version may still want it


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = EmbeddingCache()
    assert cache.folder.parts[-2:] == ("napari-safire", "embeddings")
    assert cache.max_bytes == 4 * 2**30
    assert not cache.folder.exists()
    if sys.platform == "linux":
        assert cache.folder.is_relative_to(tmp_path)


def test_looking_after_the_cache_does_not_load_torch(tmp_path: Path):
    program = (
        "import sys; from pathlib import Path;"
        "from napari_safire.engine.cache import EmbeddingCache;"
        "cache = EmbeddingCache(Path(sys.argv[1]));"
        "cache.max_bytes = 5; cache.usage(); cache.clear();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "False"


# -- the limit -----------------------------------------------------------------------------------


def test_the_least_recently_used_entry_goes_first(three: EmbeddingCache):
    three.get(sha("a"), MODEL)
    assert three.put(made("d"))
    assert held(three, "abcd") == "acd"
    three.get(sha("c"), MODEL)
    assert three.put(made("e"))
    assert three.put(made("f"))
    assert held(three, "abcdef") == "cef"
    assert three.usage().bytes <= three.max_bytes


def test_putting_again_is_a_use_and_no_second_entry(three: EmbeddingCache):
    assert three.put(made("a"))
    assert three.usage().entries == 3
    three.put(made("d"))
    assert held(three, "abcd") == "acd"


def test_a_lower_limit_takes_effect_at_once(three: EmbeddingCache):
    three.max_bytes = three.max_bytes // 3 + 10
    assert held(three, "abc") == "c"
    three.max_bytes = 0
    assert three.usage() == CacheUsage(0, 0)


def test_too_large_an_entry_is_not_stored_and_drops_nothing(three: EmbeddingCache):
    assert not three.put(made("big", cells=40))
    assert "exceed the cache's limit" in three.problem
    assert held(three, "abc") == "abc"
    assert three.put(made("d"))
    assert three.problem == ""


@pytest.mark.parametrize("limit", [-1, -(2**40)])
def test_a_negative_limit_is_refused(cache: EmbeddingCache, limit: int):
    with pytest.raises(ValueError, match="must not be negative"):
        cache.max_bytes = limit
    with pytest.raises(ValueError, match="must not be negative"):
        EmbeddingCache(cache.folder, max_bytes=limit)


def test_an_entry_of_the_future_does_not_stay_for_ever(three: EmbeddingCache):
    tomorrow = time.time() + 86400
    os.utime(three._path(sha("a"), MODEL), (tomorrow, tomorrow))
    three.put(made("d"))
    assert held(three, "abcd") == "bcd"


@tables
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=30), st.integers(1, 6))
def test_the_cache_behaves_as_a_list_of_recent_uses(uses: list[tuple[bool, int]], room: int):
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder))
        cache.put(made(0))
        cache.max_bytes = room * cache.usage().bytes
        recent = [0]
        for is_put, name in uses:
            if is_put:
                assert cache.put(made(name))
                recent = [*(old for old in recent if old != name), name][-room:]
                continue
            found = cache.get(sha(name), MODEL)
            assert (found is not None) == (name in recent)
            if found is not None:
                assert_same(found, made(name))
                recent = [*(old for old in recent if old != name), name]
        assert cache.usage().entries == len(recent)


# -- what else lies in the folder ----------------------------------------------------------------


def test_clear_frees_the_entries_and_leaves_other_files(three: EmbeddingCache):
    for name in ("notes.txt", "safire.safetensors", "A" * 64 + ".safetensors"):
        (three.folder / name).write_bytes(b"mine")
    (three.folder / (sha("folder") + ".safetensors")).mkdir()
    before = three.usage()
    assert before.entries == 3
    assert three.clear() == before.bytes > 0
    assert three.usage() == CacheUsage(0, 0)
    assert three.clear() == 0
    assert len(list(three.folder.iterdir())) == 4
    assert three.get(sha("a"), MODEL) is None


def test_what_a_killed_process_left_behind_is_swept(three: EmbeddingCache):
    target = three._path(sha("killed"), MODEL)
    with atomic_path(target) as fresh, atomic_path(target) as old:
        for path, age in ((fresh, 0), (old, 7200)):
            path.write_bytes(b"half")
            os.utime(path, (time.time() - age,) * 2)
        three.put(made("d"))
        found = [fresh.exists(), old.exists()]
        old.write_bytes(b"or atomic_path would complain")
    assert found == [True, False]


# -- damage --------------------------------------------------------------------------------------


@tables
@given(st.data())
def test_damage_anywhere_is_a_miss_and_never_a_wrong_answer(data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder))
        cache.put(made("a"))
        path = entry(cache)
        whole = path.read_bytes()
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "overwrite"]))
        at = data.draw(st.integers(0, len(whole) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=50))
        if kind == "flip":
            flipped = whole[at] ^ data.draw(st.integers(1, 255))
            broken = whole[:at] + bytes([flipped]) + whole[at + 1 :]
        elif kind == "cut":
            broken = whole[:at]
        elif kind == "insert":
            broken = whole[:at] + noise + whole[at:]
        else:
            broken = whole[:at] + noise + whole[at + len(noise) :]
        path.write_bytes(broken)
        found = cache.get(sha("a"), MODEL)
        if found is None:
            assert not path.exists()
        else:  # the damage hit nothing that matters, such as a blank of the header
            assert_same(found, made("a"))
        assert cache.put(made("a"))
        assert_same(cache.get(sha("a"), MODEL), made("a"))


def test_every_bit_of_the_features_is_guarded(cache: EmbeddingCache):
    cache.put(made("a"))
    path = entry(cache)
    whole = bytearray(path.read_bytes())
    n_feature_bytes = made("a").features.nbytes
    for at in range(len(whole) - n_feature_bytes, len(whole), 37):
        whole[at] ^= 1
        path.write_bytes(whole)
        assert cache.get(sha("a"), MODEL) is None
        assert not path.exists()
        whole[at] ^= 1
    path.write_bytes(whole)
    assert_same(cache.get(sha("a"), MODEL), made("a"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}", b"\x89PNG\r\n" * 99, b"\xff" * 999],
    ids=["empty", "json", "no tensors", "png", "ones"],
)
def test_a_foreign_file_in_place_of_an_entry_is_dropped(cache: EmbeddingCache, content: bytes):
    cache.put(made("a"))
    path = entry(cache)
    path.write_bytes(content)
    assert cache.get(sha("a"), MODEL) is None
    assert not path.exists()


def test_a_model_file_in_place_of_an_entry_is_dropped(cache: EmbeddingCache):
    cache.put(made("a"))
    path = entry(cache)
    save_checkpoint(SafireModel(TILED_LITE), path)
    assert cache.get(sha("a"), MODEL) is None
    assert not path.exists()


@pytest.mark.parametrize("asked", [(sha("b"), MODEL), (sha("a"), "d" * 64)])
def test_an_entry_under_the_name_of_another_is_dropped(
    cache: EmbeddingCache, asked: tuple[str, str]
):
    cache.put(made("a"))
    wrong = cache._path(*asked)
    entry(cache).rename(wrong)
    assert cache.get(*asked) is None
    assert not wrong.exists()


@pytest.mark.parametrize("nameless", ["image_sha256", "checkpoint_sha256"])
def test_an_embedding_without_hashes_is_not_kept(cache: EmbeddingCache, nameless: str):
    assert not cache.put(dataclasses.replace(made("a"), **{nameless: ""}))
    assert "has no hash" in cache.problem
    assert cache.usage() == CacheUsage(0, 0)


# -- disks that do not want ----------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "embeddings")
    assert not cache.put(made("a"))
    assert "could not be cached" in cache.problem
    assert "choose" not in cache.problem  # whoever reads this in the dock has no other folder
    assert str(cache.folder) in cache.problem
    assert cache.get(sha("a"), MODEL) is None
    assert cache.usage() == CacheUsage(0, 0)
    assert cache.clear() == 0


def test_a_folder_in_place_of_an_entry_is_said(cache: EmbeddingCache):
    cache._path(sha("a"), MODEL).mkdir(parents=True)
    assert cache.get(sha("a"), MODEL) is None
    assert not cache.put(made("a"))
    assert "could not be cached" in cache.problem


_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.geometry import Geometry
from napari_safire.types import Embedding

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
cache = EmbeddingCache(Path(sys.argv[1]))
features = np.zeros((8, 60, 60), dtype=np.float32)
kept = cache.put(Embedding(features, Geometry((9, 9), (16, 16), (9.0, 9.0)), "a", "b"))
print(kept, cache.problem, [path.name for path in cache.folder.iterdir()])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes to set.")
def test_a_write_that_stops_half_way_leaves_nothing_behind(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("False The embedding could not be cached"), done.stderr
    assert done.stdout.strip().endswith("[]")


def test_a_read_only_disk_still_gives_what_it_has(
    three: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for owner, name in [(Path, "write_bytes"), (Path, "unlink"), (os, "utime"), (os, "replace")]:
        monkeypatch.setattr(owner, name, refuse)
    assert_same(three.get(sha("a"), MODEL), made("a"))
    assert not three.put(made("d"))
    assert f"could not be cached in {three.folder} (Read-only file system)" in three.problem
    assert three.clear() == 0
    assert three.usage().entries == 3


def test_a_file_that_cannot_be_removed_is_no_error(
    three: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "The file is open in another program")  # as Windows says

    monkeypatch.setattr(Path, "unlink", refuse)
    three.max_bytes = 10
    assert three.clear() == 0
    assert held(three, "abc") == "abc"


# -- several at once -----------------------------------------------------------------------------


def test_two_processes_share_a_small_cache(tmp_path: Path):
    probe = EmbeddingCache(tmp_path)
    probe.put(made("probe"))
    limit = 5 * probe.usage().bytes
    spawn = multiprocessing.get_context("spawn")  # as on Windows and macOS
    answers = spawn.Queue()
    workers = [
        spawn.Process(target=use_at_random, args=(str(tmp_path), limit, seed, answers))
        for seed in (1, 2)
    ]
    for worker in workers:
        worker.start()
    try:
        hits = [answers.get(timeout=400) for _ in workers]
        for worker in workers:
            worker.join(timeout=60)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
    assert [worker.exitcode for worker in workers] == [0, 0], hits
    assert all(isinstance(count, int) and count > 0 for count in hits), hits
    cache = EmbeddingCache(tmp_path, limit)
    assert 0 < cache.usage().bytes <= limit
    assert cache.usage().entries == len(list(tmp_path.iterdir()))  # no temporary file is left


# -- the engine ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SafireModel:
    """Random weights that went through a file, and so have a hash."""
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    save_checkpoint(SafireModel(TILED_LITE), path)
    return load_model(path, device="cpu")


@pytest.fixture
def picture() -> np.ndarray:
    picture = np.random.default_rng(0).random((90, 130)) * 2
    picture[0, 0] = np.nan  # so that the embedding carries warnings
    return picture


def test_the_engine_reads_a_picture_once(
    model: SafireModel,
    cache: EmbeddingCache,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):
    without = Engine(model).embed(picture)
    assert cache.usage().entries == 0
    first = Engine(model, cache=cache).embed(picture)
    assert cache.usage().entries == 1
    monkeypatch.setattr(model, "encode", None)  # nobody may call it any more
    steps: list[tuple[int, int, str]] = []
    engine = Engine(model, cache=cache)
    again = engine.embed(picture, progress=lambda *step: steps.append(step))
    assert len(again.warnings) == 2
    assert_same(first, without)
    assert_same(again, without)
    assert steps == [(1, 1, "reading the picture's traces")]
    assert engine.notices == ()
    assert engine.segment(again, [(5, 5)])[0].mask.shape == (90, 130)


def test_a_cancelled_embedding_stores_nothing(
    model: SafireModel, cache: EmbeddingCache, picture: np.ndarray
):
    engine = Engine(model, cache=cache)
    steps: list[int] = []
    engine.embed(picture, progress=lambda done, *_: steps.append(done))
    cache.clear()
    for last in range(len(steps)):  # cancel at each place where it can be
        calls = iter([False] * last + [True])
        with pytest.raises(Cancelled):
            engine.embed(picture, cancel=lambda calls=calls: next(calls))
        assert cache.usage().entries == 0
    engine.embed(picture)
    with pytest.raises(Cancelled):
        engine.embed(picture, cancel=lambda: True)
    assert cache.usage().entries == 1


def test_fresh_weights_are_not_cached(cache: EmbeddingCache, picture: np.ndarray):
    engine = Engine(SafireModel(TILED_LITE), cache=cache)
    engine.embed(picture)
    assert cache.usage().entries == 0
    assert engine.notices == ()


def test_a_damaged_entry_is_made_again(
    model: SafireModel, cache: EmbeddingCache, picture: np.ndarray
):
    engine = Engine(model, cache=cache)
    first = engine.embed(picture)
    whole = entry(cache).read_bytes()
    entry(cache).write_bytes(whole[:-7])
    assert_same(engine.embed(picture), first)
    assert entry(cache).stat().st_size == len(whole)


def test_a_disk_that_keeps_nothing_is_said_once(
    model: SafireModel, picture: np.ndarray, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    heard: list[str] = []
    engine = Engine(model, cache=EmbeddingCache(tmp_path / "file"), on_notice=heard.append)
    for shift in range(3):
        assert engine.embed(picture + shift).features.size
    assert len(heard) == 1
    assert "could not be cached" in heard[0]
    assert engine.notices == tuple(heard)
