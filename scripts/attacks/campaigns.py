"""What is promised, tried: each campaign returns a row of the table in ``docs/robustness.md``."""

from __future__ import annotations

import errno
import io
import os
import pickle
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from attacks.runs import FORK, Place, differing, ended_run, outcome
from labelmine.atomic import write_whole
from labelmine.teachers.cache import EmbeddingCache
from labelmine.teachers.image_key import image_key

STOPS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
GOES_ON = "stopped; the same command goes on where it stopped"


@dataclass
class Row:
    """What a campaign found.

    Attributes:
        promised: In a sentence.
        tried: How.
        tries: How often.
        failures: What fell short.
    """

    promised: str
    tried: str
    tries: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, what: str, wrong: object) -> None:
        """Count a try; ``wrong`` says what fell short, if anything."""
        self.tries += 1
        if wrong:
            self.failures.append(f"{what}: {wrong}")


def kills(place: Place, workflows: list[str], rounds: int, draw: random.Random) -> Iterator[Row]:
    """Stop workflows at random moments, go on, and compare with a run that was left in peace."""
    for workflow in workflows:
        row = Row(f"`{workflow}` that was stopped ends as if it had not been", "")
        stops = 0
        peace, cache = place.folder / f"{workflow}_peace", place.folder / f"{workflow}_peace_cache"
        _remove(peace, cache)
        began = time.perf_counter()
        first = ended_run(place, place.arguments(workflow, peace), cache)
        duration = time.perf_counter() - began
        if first.status:
            row.note("undisturbed", first.last)
        expected = outcome(peace)
        for number in range(rounds):
            output, cache = place.folder / f"{workflow}_{number}", place.folder / f"{workflow}_{number}_cache"
            arguments = place.arguments(workflow, output)
            _remove(output, cache)
            for stop, status in STOPS.items():
                ended = ended_run(place, arguments, cache, stop, draw.uniform(0.05, 0.6) * duration)
                if ended.stopped:
                    stops += 1
                    good = ended.status == status and (stop == signal.SIGKILL or ended.last == GOES_ON)
                    row.note(f"{stop.name}", "" if good else f"status {ended.status}, said {ended.last!r}")
            ended = ended_run(place, arguments, cache)
            row.note("at last", ended.last if ended.status else differing(expected, outcome(output)))
            _remove(output, cache)
        row.tried = f"{stops} stops at random by {', '.join(stop.name for stop in STOPS)}; {rounds} ends"
        yield row


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped byte": lambda path: _flip(path),
    "cut to half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "gone": lambda path: path.unlink(),
}
#: Whatever else: these are only there for people, or for a run that is still going.
NOT_DAMAGED = (".lock", "events.out", "checksums", "log.txt")


def damage(place: Place, most: int, draw: random.Random) -> Row:
    """Damage a file of a finished run and run it again: it must be named, and all must end as it was, or stop."""
    row = Row("a damaged file is named and made again, or the run stops and names it", ", ".join(DAMAGES))
    sound, output, cache = place.folder / "model", place.folder / "damaged", place.folder / "cache"
    kinds: dict[str, Path] = {}  # one of a kind: masks are all alike
    for path in sorted(sound.rglob("*")):
        name = path.relative_to(sound).as_posix()
        if path.is_file() and not path.name.startswith(NOT_DAMAGED) and not name.startswith(("report/", "damaged/")):
            kinds.setdefault(name if path.suffix != ".png" else f"{path.parent.name}/*.png", path)
    pairs = [(path.relative_to(sound), kind) for path in kinds.values() for kind in DAMAGES]
    for name, kind in draw.sample(pairs, min(most, len(pairs))):
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(sound, output)
        if (output / name).stat().st_size == 0:
            continue
        DAMAGES[kind](output / name)
        ended = ended_run(place, place.arguments("mine_one_time", output), cache)
        named = name.name in ended.said or name.name == "metrics.json"
        stopped = ended.status == 1 and name.name in ended.last
        other = [] if stopped else differing(outcome(sound), outcome(output))
        row.note(f"{name}, {kind}", "" if stopped or (named and not ended.status and not other) else
                 f"status {ended.status}, {ended.last!r}, named {named}, differ {other[:3]}")  # fmt: skip
    return row


def full_disk(place: Place) -> Row:
    """Run onto a disk of a few megabytes, make room, and go on."""
    row = Row("a full disk ends a run in one line that names file, bytes and way out; then it goes on",
              "a disk (tmpfs) filled up to some bytes, then freed")  # fmt: skip
    if os.geteuid() != 0:
        row.tried += "; needs root: not tried"
        return row
    for workflow, megabytes in (("label", 0), ("train", 1), ("train", 12)):
        with _disk(place.folder / "disk", 800) as disk:
            filler = disk / "filler"
            arguments = place.arguments(workflow, disk / "out")
            ended_run(place, [*arguments, "--seed", "1"], place.folder / "cache", signal.SIGKILL, 0.1)
            shutil.rmtree(disk / "out", ignore_errors=True)

            def fill(filler: Path = filler, disk: Path = disk, left: int = megabytes) -> None:
                with filler.open("wb") as file:
                    file.write(bytes(shutil.disk_usage(disk).free - left * 2**20))

            # The run first looks whether there is room for a run at all: it is taken away from under it.
            ended = ended_run(place, arguments, place.folder / "cache", before=lambda fill=fill: _when_begun(fill))
            good = ended.status == 1 and ("No space left" in ended.last or "MB left" in ended.last)
            row.note(f"{workflow}, {megabytes} MB left", "" if good else f"status {ended.status}: {ended.last}")
            filler.unlink(missing_ok=True)
            ended = ended_run(place, arguments, place.folder / "cache")
            row.note(f"{workflow}, after room was made", ended.last if ended.status else "")
    return row


def forbidden(place: Place) -> Row:
    """Run where nothing may be written, and without a home."""
    row = Row(
        "what cannot be written is done without (cache, home) or said in one line",
        "a cache that is a file, no home, a file as output folder, names that are too long or hold a NUL",
    )
    cache = place.folder / "no_cache"
    cache.write_bytes(b"")
    output = place.folder / "forbidden"
    ended = ended_run(place, place.arguments("label", output), cache, environment={"HOME": "/nonexistent"})
    said = ended.said.count("embedding cache cannot be written")
    row.note("a cache that cannot be written, no home", "" if ended.status == 0 and said == 1 else ended.said[-300:])
    odd = [str(cache), str(cache / "below"), "x" * 300, "a\0b", "/proc/out"]
    for name in odd:
        ended = ended_run(place, [*place.arguments("label", output)[:-1], name])
        lines = [line for line in ended.said.splitlines() if "Error" in line or "Traceback" in line]
        row.note(f"--output_dir {name[:20]!r}", "" if ended.status and lines == [ended.last] else ended.said[-300:])
    for name in [str(cache), str(_fifo(place.folder / "fifo")), str(_zip(place.folder / "a.zip")), "x" * 300, "a\0b"]:
        shutil.rmtree(output, ignore_errors=True)  # else its settings would be refused first
        ended = ended_run(place, ["label", name, *place.arguments("label", output)[2:]])
        lines = [line for line in ended.said.splitlines() if "Error" in line or "Traceback" in line]
        row.note(f"DIR {name[-20:]!r}", "" if ended.status and lines == [ended.last] else ended.said[-300:])
    return row


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        """Keep where."""
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        """Touch the mark."""
        return (os.system, (f"touch '{self.mark}'",))


def hostile(place: Place) -> Row:
    """Give files that run code to whatever reads a file."""
    row = Row("no file runs code", "pickles as weights, checkpoints and teachers; names that are expressions or script")
    mark, output = place.folder / "mark", place.folder / "hostile"
    for suffix in (".pt", ".safetensors"):
        bomb = place.folder / f"bomb{suffix}"
        bomb.write_bytes(_torch_bomb(mark))
        bare = place.folder / f"bare{suffix}"
        bare.write_bytes(pickle.dumps(Bomb(mark)))
        for file in (bomb, bare):
            for words in (
                ["--teacher_weights", str(file)],
                ["--encoder_weights", str(file)],
                ["--pretrained", str(file)],
            ):
                workflow = "label" if words[0] == "--teacher_weights" else "train"
                shutil.rmtree(output, ignore_errors=True)
                ended = ended_run(place, _with(place.arguments(workflow, output), words), place.folder / "cache")
                wrong = f"ran or went on: {ended.last}" if mark.exists() or ended.status != 1 else ""
                row.note(f"{file.name} as {words[0]}", wrong)
                mark.unlink(missing_ok=True)
    trained = place.folder / "hostile_run"
    for bomb in (_torch_bomb(mark), pickle.dumps(Bomb(mark))):
        for known in (True, False):
            checkpoint = trained / "supervised" / "checkpoint.pt"
            shutil.rmtree(trained, ignore_errors=True)
            shutil.copytree(place.folder / "model", trained)
            checkpoint.write_bytes(bomb)
            if not known:
                (trained / "checksums.jsonl").unlink()  # who can put files there can put this one there
            ended = ended_run(place, place.arguments("mine_one_time", trained), place.folder / "cache")
            aside = trained / "damaged" / "supervised" / "checkpoint.pt"
            good = (
                ended.status == 0 and aside.read_bytes() == bomb
                if known
                else ended.status == 1 and checkpoint.name in ended.last
            )
            row.note(
                f"checkpoint of a run, checksums {known}",
                "" if good and not mark.exists() else f"ran {mark.exists()}: {ended.last}",
            )
    for name in ("labels/manifest.jsonl", "split.json", "gate.json", "config.yaml"):
        shutil.rmtree(trained, ignore_errors=True)
        shutil.copytree(place.folder / "model", trained)
        (trained / "checksums.jsonl").unlink()  # who can put files there can put this one there
        (trained / name).write_bytes(_yaml_bomb(mark))
        ended = ended_run(place, place.arguments("mine_one_time", trained), place.folder / "cache")
        row.note(f"{name} of a finished run", f"ran: {ended.last}" if mark.exists() else "")
    evil = place.folder / f"$__import__('os').system('touch {mark.name}')"
    shutil.copytree(place.folder / "images", evil, dirs_exist_ok=True)
    image = next((evil / "images").iterdir())
    image.rename(image.with_name("<script>alert(1)<script>.png"))
    for words in (["train", evil.name], ["mine", evil.name]):
        shutil.rmtree(output, ignore_errors=True)
        arguments = place.arguments("train" if words[0] == "train" else "mine_one_time", output)
        ended = ended_run(place, [*words, *arguments[2:]], before=lambda: os.chdir(place.folder))
        page = output / "report" / "index.html"
        wrong = mark.exists() or ended.status or (page.is_file() and "<script" in page.read_text())
        row.note(f"{words[0]} {evil.name}", f"status {ended.status}: {ended.last}" if wrong else "")
    return row


def quiet(place: Place) -> Row:
    """Look for connections, and for the user and his folders in what runs write."""
    row = Row(
        "no connection to anywhere; no user's name or folder in any output but config.yaml",
        "sockets that refuse, and a search through all outputs",
    )
    output = place.folder / "smith_john" / "out"
    for workflow in ("label", "train"):
        shutil.rmtree(output, ignore_errors=True)
        ended = ended_run(place, place.arguments(workflow, output), before=_no_sockets)
        row.note(f"{workflow} without sockets", ended.last if ended.status or "CONNECTED" in ended.said else "")
        secret = [str(place.folder).encode(), b"smith_john"]
        telling = [
            path.relative_to(output).as_posix()
            for path in output.rglob("*")
            if path.is_file() and any(word in path.read_bytes() for word in secret)
        ]
        telling = [name for name in telling if name not in ("config.yaml", "checksums.jsonl")]
        row.note(f"{workflow}: what is told", telling)
    return row


def together(place: Place) -> Row:
    """Two runs at once in one folder, and in one cache, one of them dropping."""
    row = Row(
        "two at once do no harm: a folder is one run's, a study's cells are shared, a cache gives no wrong embedding",
        "two runs in a folder; two schedulers of a study; four processes in a cache with room for a third of it",
    )
    output = place.folder / "together"
    arguments = place.arguments("train", output)
    first = FORK.Process(target=ended_run, args=(place, arguments))
    first.start()
    while not (output / ".lock.json").is_file():
        time.sleep(0.05)
    second = ended_run(place, arguments)
    row.note("a second run", "" if "another run works in this folder" in second.last else second.last)
    first.join()
    workers = [FORK.Process(target=_use_cache, args=(place.folder / "shared_cache", n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        row.note("a process in a shared cache", "" if worker.exitcode == 0 else f"status {worker.exitcode}")
    alone, both = place.folder / "study_alone", place.folder / "study_by_two"
    _remove(alone, both)
    ended_run(place, place.arguments("study", alone))
    schedulers = [FORK.Process(target=_end_as_run, args=(place, place.arguments("study", both))) for _ in range(2)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    for scheduler in schedulers:
        row.note("a scheduler of a study", scheduler.exitcode or differing(outcome(alone), outcome(both)))
    return row


def _end_as_run(place: Place, arguments: list[str]) -> None:
    sys.exit(ended_run(place, arguments).status)


def _use_cache(folder: Path, seed: int) -> None:
    cache, draw = EmbeddingCache(folder, max_bytes=60_000), random.Random(seed)
    for _ in range(400):
        number = draw.randrange(60)
        key = image_key(torch.full((3, 8, 8), number / 60))
        found, made = cache.read("teacher", key), torch.full((4, 16, 16), float(number)).half()
        if found is not None and not torch.equal(found, made):
            sys.exit(3)
        if found is None:
            cache.write("teacher", key, made)
    sys.exit(0 if cache.writable else 4)


def _no_sockets() -> None:
    def refused(self: socket.socket, address: object) -> None:
        print("CONNECTED", address, file=sys.stderr, flush=True)
        raise OSError(errno.ENETUNREACH, "no network")

    socket.socket.connect = refused  # type: ignore[method-assign, assignment]


def _when_begun(fill: Callable[[], None]) -> None:
    """Fill the disk when the first file was written whole, after all checks at the beginning."""
    import labelmine.atomic as atomic

    original, done = atomic.os.replace, []

    def replace(source: Any, target: Any) -> None:
        original(source, target)
        if not done and Path(target).name == "config.yaml":
            done.append(True)
            fill()

    atomic.os.replace = replace  # type: ignore[assignment]


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _zip(path: Path) -> Path:
    write_whole(path, b"PK\x05\x06" + bytes(18))
    return path


def _torch_bomb(mark: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"network": Bomb(mark)}, buffer)
    return buffer.getvalue()


def _yaml_bomb(mark: Path) -> bytes:
    return f"!!python/object/apply:os.system ['touch {mark}']\n".encode()


def _with(arguments: list[str], words: list[str]) -> list[str]:
    """Return arguments with an option in place of its own."""
    kept = list(arguments)
    if words[0] in kept:
        place = kept.index(words[0])
        del kept[place : place + 2]
    return [*kept, *words]
