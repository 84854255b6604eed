"""Code packages: what is taken in, what is refused, and how they come to be on a disk."""

from __future__ import annotations

import asyncio
import hashlib
import io
import multiprocessing
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventrouter.errors import RequestError, RuntimeFault
from eventrouter.rules.function import Code
from eventrouter.rules.limits import CODE_UNZIPPED_BYTES, CODE_ZIPPED_BYTES
from eventrouter.runtime import packages as packages_module
from eventrouter.runtime import unzip
from eventrouter.runtime.packages import Packages

COULD_NOT_UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


async def nowhere(sha256: str) -> bytes | None:
    return None


def from_peer(data: dict[str, bytes]) -> Callable[[str], Awaitable[bytes | None]]:
    async def fetch(sha256: str) -> bytes | None:
        return data.get(sha256)

    return fetch


def zip_of(files: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def zip_of_entries(*entries: tuple[str, int, bytes]) -> bytes:
    """Build a zip of (name, Unix mode with its kind, content) entries."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def link(name: str, destination: str) -> tuple[str, int, bytes]:
    return name, stat.S_IFLNK | 0o777, destination.encode()


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[str, int, bytes]:
    return name, stat.S_IFREG | mode, content


def refusal_of(root: Path, zip_bytes: bytes) -> RequestError:
    packages = Packages(root, nowhere)
    with pytest.raises(RequestError) as caught:
        asyncio.run(packages.add(zip_bytes))
    assert [path for path in root.rglob("*") if path.is_file() or path.is_symlink()] == [root / "staging.lock"]
    return caught.value


def test_a_package_is_named_by_its_digest_and_found_unpacked(tmp_path: Path) -> None:
    data = zip_of({"app.py": "x = 1\n", "pkg/mod.py": "y = 2\n", "empty/": ""})
    packages = Packages(tmp_path, nowhere)

    code = asyncio.run(packages.add(data))

    assert code == Code(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    assert packages.has(code)
    assert packages.read(code.sha256) == data
    directory = asyncio.run(packages.directory(code))
    assert (directory / "pkg/mod.py").read_text() == "y = 2\n"
    assert (directory / "empty").is_dir()
    assert asyncio.run(packages.add(data)) == code


def test_modes_let_all_read_and_keep_what_is_executable(tmp_path: Path) -> None:
    data = zip_of_entries(
        file("secret.py", mode=0o600), file("bin/run", mode=0o4700), file("plain", mode=0), ("d/", stat.S_IFDIR, b"")
    )
    packages = Packages(tmp_path, nowhere)
    before = os.umask(0o077)
    try:
        directory = asyncio.run(packages.directory(asyncio.run(packages.add(data))))
    finally:
        os.umask(before)

    modes = {name: stat.S_IMODE((directory / name).stat().st_mode) for name in ("secret.py", "bin/run", "plain")}
    assert modes == {"secret.py": 0o644, "bin/run": 0o744, "plain": 0o644}
    assert [stat.S_IMODE((directory / name).stat().st_mode) for name in ("d", "bin", "")] == [0o755] * 3


def test_links_inside_of_the_package_are_kept(tmp_path: Path) -> None:
    data = zip_of_entries(
        link("a/b/lib.so", "../real/lib.so.1"),
        link("up", "a/b"),
        link("loose", "gone"),
        file("a/real/lib.so.1", b"ELF"),
    )
    packages = Packages(tmp_path, nowhere)

    directory = asyncio.run(packages.directory(asyncio.run(packages.add(data))))

    assert (directory / "up/lib.so").read_bytes() == b"ELF"
    assert (directory / "loose").is_symlink()


DIRECTORY_AND_LINK = (file("d/x"), link("d", "/tmp"))
ATTACKS = {
    "a parent path": zip_of_entries(file("../evil.py")),
    "a parent path in the middle": zip_of_entries(file("a/../../evil.py")),
    "an absolute path": zip_of_entries(file("/evil.py")),
    "an absolute link": zip_of_entries(link("l", "/etc/passwd")),
    "a link out": zip_of_entries(link("a/l", "../../x")),
    "a link out through a link": zip_of_entries(link("a/b/root", "../.."), link("a/b/out", "root/..")),
    "a link to a sibling of the same prefix": zip_of_entries(link("l", "../tree-of-another")),
    "a file through a link": zip_of_entries(link("d", "/tmp"), file("d/evil.py")),
    "a link in place of a directory": zip_of_entries(*DIRECTORY_AND_LINK),
    "a link through a link": zip_of_entries(link("d", "."), link("d/e", "x")),
    "a huge link": zip_of_entries(link("l", "a/" * unzip.LINK_BYTES)),
    "an empty link": zip_of_entries(link("l", "")),
    "a link that is no text": zip_of_entries(("l", stat.S_IFLNK, b"\xff\xfe")),
    "a device": zip_of_entries(("null", stat.S_IFCHR | 0o666, b"")),
    "a block device": zip_of_entries(("sda", stat.S_IFBLK | 0o666, b"")),
    "a pipe": zip_of_entries(("pipe", stat.S_IFIFO | 0o666, b"")),
    "a socket": zip_of_entries(("sock", stat.S_IFSOCK | 0o666, b"")),
    "the same file twice": zip_of_entries(file("a.py"), file("a.py")),
    "the same file in two spellings": zip_of_entries(file("a.py"), file("./a.py")),
    "a file in place of a directory": zip_of_entries(file("a/b"), file("a")),
    "a directory in place of a file": zip_of_entries(file("a"), file("a/b")),
    "the root as a file": zip_of_entries(file(".")),
    "a name too long for a disk": zip_of_entries(file("n" * 300)),
    "a path too long": zip_of_entries(file("d/" * 1_100 + "f")),
    "bzip2": zip_of({"a": b"x" * 100}, zipfile.ZIP_BZIP2),
    "lzma": zip_of({"a": b"x" * 100}, zipfile.ZIP_LZMA),
    "too many entries": b"PK\x01\x02" * (unzip.ENTRIES + 1),
    "no zip": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_package_that_asks_for_more_than_files_of_its_own_is_refused(tmp_path: Path, attack: str) -> None:
    error = refusal_of(tmp_path, ATTACKS[attack])

    assert (error.code, error.status, error.message) == ("InvalidParameterValueException", 400, COULD_NOT_UNZIP)


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of_entries(file("a")))
    data[data.index(b"PK\x01\x02") + 8] |= 1

    assert refusal_of(tmp_path, bytes(data)).message == COULD_NOT_UNZIP


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, zip_of({})).message == "Uploaded file must be a non-empty zip"


def test_a_zip_of_one_byte_too_many_is_refused_by_its_size(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, bytes(CODE_ZIPPED_BYTES + 1))

    assert (error.code, error.status) == ("RequestEntityTooLargeException", 413)
    assert error.message == "Zipped size must be smaller than 52428800 bytes"


def with_declared_size(data: bytes, size: int) -> bytes:
    """Rewrite the unpacked size that a zip of one entry declares, in both of its headers."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, changed.index(b"PK\x03\x04") + 22, size)
    struct.pack_into("<I", changed, changed.index(b"PK\x01\x02") + 24, size)
    return bytes(changed)


def test_a_package_that_unpacks_to_more_than_the_limit_is_refused_unread(tmp_path: Path) -> None:
    data = with_declared_size(zip_of({"a": b"x"}), CODE_UNZIPPED_BYTES + 1)

    error = refusal_of(tmp_path, data)

    assert (error.code, error.status) == ("InvalidParameterValueException", 400)
    assert error.message == "Unzipped size must be smaller than 262144000 bytes"


@pytest.mark.parametrize("mode", [stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777])
def test_a_bomb_that_declares_a_small_size_is_not_inflated(tmp_path: Path, mode: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
        archive.writestr(info, bytes(64 << 20))
    limited = multiprocessing.get_context("fork").Process(
        target=unpack_with_little_memory, args=(with_declared_size(out.getvalue(), 10), tmp_path)
    )
    limited.start()
    limited.join(20)

    assert limited.exitcode == 0
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 1 << 20


def unpack_with_little_memory(data: bytes, target: Path) -> None:
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + (24 << 20), used + (24 << 20)))
    try:
        unzip.unpack(data, target)
    except RequestError as error:
        os._exit(0 if error.message == COULD_NOT_UNZIP else 1)
    os._exit(2)


SOUND = zip_of({"app.py": "def handler(e, c):\n    return 1\n" * 20, "data/a.txt": "text " * 50, "b.bin": b"\0\1\2"})


@pytest.mark.property
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.data())
def test_any_damage_is_a_request_error_or_harmless(
    tmp_path: Path, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(SOUND)
    for at, value in changes:
        damaged[at] = value
    cut = data.draw(st.sampled_from([len(SOUND), data.draw(st.integers(0, len(SOUND)))]))
    packages = Packages(tmp_path, nowhere)
    try:
        code = asyncio.run(packages.add(bytes(damaged[:cut])))
    except RequestError:
        return
    inside = asyncio.run(packages.directory(code))
    assert all(path.resolve().is_relative_to(inside.resolve()) for path in inside.rglob("*"))


def test_a_package_from_a_peer_is_checked_and_kept(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(SOUND).hexdigest()
    packages = Packages(tmp_path, from_peer({sha256: SOUND}))
    code = Code(sha256=sha256, size_bytes=len(SOUND))
    assert not packages.has(code)

    directory = asyncio.run(packages.directory(code))

    assert (directory / "b.bin").read_bytes() == b"\0\1\2"
    assert packages.has(code)
    assert packages.read(sha256) == SOUND


def test_a_package_that_comes_damaged_is_not_used(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(SOUND).hexdigest()
    packages = Packages(tmp_path, from_peer({sha256: SOUND + b"!"}))
    code = Code(sha256=sha256, size_bytes=len(SOUND))

    with pytest.raises(RuntimeFault, match=sha256):
        asyncio.run(packages.directory(code))
    assert not packages.has(code)


def test_a_package_that_no_node_has_is_named(tmp_path: Path) -> None:
    code = Code(sha256="0" * 64, size_bytes=1)

    with pytest.raises(RuntimeFault, match="0" * 64):
        asyncio.run(Packages(tmp_path, nowhere).directory(code))


def test_a_zip_that_rotted_on_the_disk_is_fetched_again(tmp_path: Path) -> None:
    code = asyncio.run(Packages(tmp_path, nowhere).add(SOUND))
    (tmp_path / "zips" / f"{code.sha256}.zip").write_bytes(SOUND[:-1] + b"?")
    for tree in (tmp_path / "unpacked").iterdir():
        tree.rename(tmp_path / "unpacked" / "an-earlier-boot")

    packages = Packages(tmp_path, from_peer({code.sha256: SOUND}))
    directory = asyncio.run(packages.directory(code))

    assert (directory / "app.py").exists()
    assert packages.read(code.sha256) == SOUND
    assert not (tmp_path / "unpacked" / "an-earlier-boot").exists()


def test_what_a_dead_process_left_half_done_is_cleaned_up_but_not_what_a_live_one_does(tmp_path: Path) -> None:
    first = Packages(tmp_path, nowhere)
    with first._stage() as busy:
        (busy / "half").write_text("x")
        Packages(tmp_path, nowhere)
        assert (busy / "half").exists()
    left = tmp_path / "staging" / "left"
    left.mkdir()
    (left / "half").write_text("x")

    Packages(tmp_path, nowhere)

    assert not left.exists()


def test_many_first_uses_at_once_fetch_once(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(SOUND).hexdigest()
    asked: list[str] = []

    async def fetch(wanted: str) -> bytes | None:
        asked.append(wanted)
        return SOUND

    async def use() -> set[Path]:
        packages = Packages(tmp_path, fetch)
        code = Code(sha256=sha256, size_bytes=len(SOUND))
        impatient = asyncio.create_task(packages.directory(code))
        waiting = [asyncio.create_task(packages.directory(code)) for _ in range(9)]
        await asyncio.sleep(0)
        impatient.cancel()
        return set(await asyncio.gather(*waiting))

    assert len(asyncio.run(use())) == 1
    assert asked == [sha256]


def test_many_processes_may_unpack_the_same_package_at_once(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(4)
    workers = [fork.Process(target=unpack_beside_others, args=(tmp_path, barrier)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert list((tmp_path / "staging").iterdir()) == []


def unpack_beside_others(root: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    status = 1
    try:
        for n in range(10):
            data = zip_of({"app.py": f"n = {n}\n", **{f"f{i}": "x" for i in range(20)}})
            barrier.wait(20)
            packages = Packages(root, nowhere)
            directory = asyncio.run(packages.directory(asyncio.run(packages.add(data))))
            assert len(list(directory.iterdir())) == 21
        status = 0
    finally:
        os._exit(status)


def test_a_digest_that_is_a_path_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.zip").write_text("secret")
    packages = Packages(tmp_path / "root", nowhere)

    assert packages.read("../../secret") is None
    assert packages.read("0" * 64) is None
    with pytest.raises(RuntimeFault):
        asyncio.run(packages.directory(Code(sha256="../../secret", size_bytes=1)))


def test_a_hot_reload_directory_is_read_in_place_and_named_by_its_state(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1\n")
    packages = Packages(tmp_path / "root", nowhere)

    before = Packages.hot_reload(str(tmp_path))
    (tmp_path / "app.py").write_text("x = 12\n")
    after = Packages.hot_reload(str(tmp_path))

    assert before.directory == after.directory == str(tmp_path)
    assert before.sha256 != after.sha256
    assert Packages.hot_reload(str(tmp_path)) == after
    assert packages.has(after)
    assert asyncio.run(packages.directory(after)) == tmp_path


@pytest.mark.parametrize("path", ["relative/app", "/nowhere/to/be/found", __file__, ""])
def test_a_hot_reload_path_has_to_be_an_absolute_directory(path: str) -> None:
    with pytest.raises(RequestError) as caught:
        Packages.hot_reload(path)

    assert caught.value.code == "InvalidParameterValueException"
    assert path in caught.value.message


def test_a_hot_reload_directory_that_went_away_is_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    code = Packages.hot_reload(str(folder))
    folder.rmdir()

    with pytest.raises(RuntimeFault, match=str(folder)):
        asyncio.run(Packages(tmp_path / "root", nowhere).directory(code))


def test_a_huge_hot_reload_directory_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages_module, "HOT_RELOAD_FILES", 3)
    for n in range(5):
        (tmp_path / f"{n}.py").write_text("12")

    assert Packages.hot_reload(str(tmp_path)).size_bytes == 6
