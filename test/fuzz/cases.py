"""The child of the harness: makes and runs the cases of one kind, a line of JSON for each."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import struct
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(8192 * 8192)
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "helpers")]

import cv2  # noqa: E402  (reads that limit)
import numpy as np  # noqa: E402

from fer_perception.errors import FerError  # noqa: E402

Random = np.random.Generator
Case = Callable[[Random, Path], object]
#: A child in which one case takes longer than this, in s, tells where, and ends.
_HANGS = 60


def mutated(data: bytes, random: Random) -> bytes:
    """Flips, cuts, repeats and overwrites."""
    content = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if not content:
            break
        at, size = int(random.integers(len(content))), int(random.integers(1, 64))
        match int(random.integers(6)):
            case 0:
                content[at] ^= 1 << int(random.integers(8))
            case 1:
                content[at : at + size] = random.bytes(size)
            case 2:
                del content[at : at + size]
            case 3:
                content[at:at] = content[at : at + size]
            case 4:
                # Numbers that lengths and sizes are made of.
                content[at : at + 4] = random.choice(np.array([0, 1, 255, 2**15, 2**31 - 1, 2**32 - 1])).tobytes()[:4]
            case _:
                del content[at if random.random() < 0.3 else len(content) :]
    return bytes(content)


def changed_bytes(data: bytes, random: Random) -> bytes:
    """A few other bytes; all lengths and places stay."""
    content = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        content[int(random.integers(len(content)))] = int(random.integers(256))
    return bytes(content)


def changed_words(text: str, random: Random) -> bytes:
    """Words of a text, or what is between them, replaced by others; or the bytes mutated."""
    if random.random() < 0.3:
        return mutated(text.encode(), random)
    others = ["", "-1", "1e999", "9" * 400, ".nan", "null", "yes", "[]", "{}", "{x: 1}", "[[1]]", "'", "\x1b[2J", "~"]
    others += ["2001-99-99", "!!binary x", "!!python/name:os.system", "&a", "*a", "<<: *a", "..", "/etc", "x" * 5000]
    words = re.split(r"(\W+)", text)
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(words)))
        words[at] = words[int(random.integers(len(words)))] if random.random() < 0.4 else str(random.choice(others))
    return "".join(words).encode()


# Images


def _made_image(random: Random) -> np.ndarray:
    height, width = (int(side) for side in random.integers(1, 200, 2))
    shape = (height, width) if random.random() < 0.2 else (height, width, int(random.choice([3, 4])))
    return cv2.blur(random.integers(0, 256, shape).astype(np.uint8), (5, 5))


def png_chunks(data: bytes, random: Random) -> bytes:
    """A PNG with chunks changed, repeated, swapped or added, their checksums right."""
    chunks, position = [], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(chunks)))
        kind, content = chunks[at]
        match int(random.integers(6)):
            case 0:
                chunks[at] = (kind, mutated(content, random))
            case 1:
                chunks.insert(at, chunks[int(random.integers(len(chunks)))])
            case 2:
                chunks.pop(at)
            case 3:
                head = struct.pack(">II", *(int(2 ** random.uniform(0, 31)) for _ in range(2)))
                rest = bytes(
                    [random.choice([1, 2, 8, 16]), random.choice([0, 2, 3, 4, 6]), 0, 0, random.choice([0, 1])]
                )
                chunks[0] = (b"IHDR", head + rest)
            case 4:
                names = [b"zTXt", b"iTXt", b"iCCP", b"tRNS", b"PLTE", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA"]
                packed = b"k\0\0" + zlib.compress(bytes(int(2 ** random.uniform(0, 25))))
                chunks.insert(at, (names[int(random.integers(len(names)))], packed))
            case _:
                chunks[at] = (random.bytes(4), content)
        if not chunks:
            break
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(parts)


def jpeg_segments(data: bytes, random: Random) -> bytes:
    """A JPEG with another size in its frame header, or segments repeated."""
    content = bytearray(data)
    at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    if random.random() < 0.5 and at > 0:
        content[at + 5 : at + 9] = struct.pack(">HH", *(int(2 ** random.uniform(0, 16)) for _ in range(2)))
    marks = [
        found for found in range(len(content) - 1) if content[found] == 0xFF and content[found + 1] not in (0, 255)
    ]
    for _ in range(int(random.integers(0, 3))):
        begin = int(random.choice(marks))
        end = min((mark for mark in marks if mark > begin), default=len(content))
        content[begin:begin] = content[begin:end] * int(random.integers(1, 20))
    return bytes(content)


def image(random: Random, folder: Path) -> object:
    """A compressed image, as a message and as a file."""
    from fer_perception.imaging.encodings import decode_compressed
    from fer_perception.imaging.image_files import read_image

    suffixes = [".jpg", ".jpg", ".jpg", ".png", ".png", ".png", ".gif", ".webp", ".tiff", ".jp2", ".bmp"]
    suffix = str(random.choice(suffixes))
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(random.integers(2))] if suffix == ".jpg" else []
    made = _made_image(random)
    if suffix == ".png" and random.random() < 0.3:
        made = made.astype(np.uint16) * 257
    if suffix in {".jpg", ".gif", ".jp2", ".bmp"} and made.ndim == 3:
        made = np.ascontiguousarray(made[..., :3])
    done, encoded = cv2.imencode(suffix, made, options)
    if not done:  # no such format of this image here
        suffix, encoded = ".png", cv2.imencode(".png", made)[1]
    data = encoded.tobytes()
    if random.random() < 0.6 and suffix in {".png", ".jpg"}:
        data = png_chunks(data, random) if suffix == ".png" else jpeg_segments(data, random)
    if random.random() < 0.6:
        data = mutated(data, random)
    (folder / f"image{suffix}").write_bytes(data)
    with contextlib.suppress(FerError):
        decode_compressed(format="", data=data)
    return read_image(folder / f"image{suffix}")


def _promised(folder: Path) -> float:
    """MB that the header of an image says its decoding takes: large images may be large."""
    from fer_perception.imaging.image_files import image_header

    found = 0.0
    for path in folder.glob("image.*"):
        with contextlib.suppress(FerError):
            header = image_header(path.read_bytes())
            found = header.width * header.height * header.bytes_a_pixel / 1e6 if header else 0.0
    return found


def message(random: Random, folder: Path) -> object:
    """The fields of an image message that do not fit one another."""
    from fer_perception.imaging.encodings import ENCODINGS, decode_raw

    del folder
    names = [*ENCODINGS, "mono16", "32FC1", "", "x" * int(2 ** random.uniform(0, 22)), "bgr8\n", "\x1b[2J", "rgb8 "]
    width, height = (int(2 ** random.uniform(0, 12)) for _ in range(2))
    if random.random() < 0.1:
        width = int(random.choice([0, 1, 2**31 - 1, 2**32 - 1]))
    step = int(random.choice([0, width, width * 2, width * 3, width * 4, 2**32 - 1, int(random.integers(1, 70000))]))
    size = min(int(height * step * random.choice([0.5, 0.99, 1.0, 1.0, 1.5])), 20_000_000)
    return decode_raw(
        encoding=names[int(random.integers(len(names)))], width=width, height=height, step=step, data=bytes(size)
    )


def model(random: Random, folder: Path) -> object:
    """A tiny model with bytes or metadata changed, loaded and asked once."""
    import onnx
    from tiny_model import tiny_model

    from fer_perception.classification.create import create_classifier

    made = tiny_model()
    if random.random() < 0.5:
        entry = made.metadata_props[int(random.integers(len(made.metadata_props)))]
        values = [
            "",
            "[]",
            "null",
            "-1",
            "1e999",
            "[1, 2147483647, 2147483647]",
            "[1, -48, 48]",
            "[" * 3000,
            "{}",
            "NaN",
        ]
        changed = mutated(entry.value.encode(), random).decode("utf-8", errors="ignore")
        entry.value = changed if random.random() < 0.5 else values[int(random.integers(len(values)))]
    if random.random() < 0.2:
        made.graph.node[int(random.integers(len(made.graph.node)))].op_type = str(
            random.choice(["Loop", "If", "Expand", "Tile", "MatMul", "Resize", "NonZero"])
        )
    data = made.SerializeToString()
    del onnx
    path = folder / "mutated.onnx"
    change = (changed_bytes, mutated, lambda content, _: content)[int(random.choice(3, p=[0.5, 0.2, 0.3]))]
    path.write_bytes(change(data, random))
    classifier = create_classifier(path, backend="onnxruntime", threads=1)
    shape = classifier.metadata.input_shape
    return classifier.classify(np.zeros((2, *shape), np.float32))


def bag(random: Random, folder: Path) -> object:
    """A bag with bytes of its storage or its metadata changed, read to its end."""
    from made_bags import START_NS, jpeg, raw, text, write_bag

    from fer_perception.replay.bags import BagReader

    pixels = _made_image(random)
    pixels = np.ascontiguousarray(pixels[..., :3]) if pixels.ndim == 3 else np.dstack([pixels] * 3)
    messages = [
        (f"/camera{n % 2}", START_NS + n * 10**8, (jpeg if n % 2 else raw)(pixels, START_NS + n * 10**8))
        for n in range(6)
    ]
    messages.append(("/talk", START_NS + 10**9, text("hello")))
    path = write_bag(folder / "bag", messages, sqlite3=bool(random.random() < 0.4))
    files = sorted(file for file in path.iterdir() if file.is_file())
    file = files[int(random.integers(len(files)))]
    file.write_bytes((changed_bytes if random.random() < 0.6 else mutated)(file.read_bytes(), random))
    seen = []
    with BagReader(path) as reader:
        for found in reader.messages(reader.camera_topics()):
            with contextlib.suppress(FerError):
                seen.append(reader.read_image(found).decode().shape)
    return seen


def data(random: Random, folder: Path) -> object:
    """Data sets, lists of them, recipes and parameter files."""
    from fer_perception.settings.params_file import read_pipeline_settings
    from fer_training.data.load import load_dataset
    from fer_training.recipe import load_recipe

    which = int(random.integers(5))
    if which == 0:
        path = folder / "fer.csv"
        rows = "".join(f"{n % 7},{' '.join(['9'] * 2304)},Training\n" for n in range(8))
        path.write_bytes(changed_words(f"emotion,pixels,Usage\n{rows}", random))
        return load_dataset(path)
    if which == 1:
        path = folder / "set.npz"
        np.savez_compressed(path, Training=np.zeros((8, 48, 48), np.uint8), Training_labels=np.arange(8) % 7)
        path.write_bytes((changed_bytes if random.random() < 0.7 else mutated)(path.read_bytes(), random))
        return load_dataset(path)
    lines = [
        "- {path: set.npz, use_as: train}\n- &a [1, 2]\n- {path: b, rename: {smile: happy, blink: null}}\n- *a\n",
        "architecture: lenet\nepochs: 3\noptimizer: {name: adam, lr: 1e-4}\nloss: {teacher_weight: 0.5}\nfolds: 2\n",
        "/**:\n  ros__parameters:\n    model: arch1_fer2013\n    smoothing: &s {tau: 0.3}\n    a: *s\n    threads: 2\n",
    ]
    path = folder / "text.yaml"
    content = changed_words(lines[which - 2], random)
    if random.random() < 0.2:
        content += "".join(f"\nz{n}: &z{n} [{', '.join([f'*z{n - 1}' if n else 'x'] * 9)}]" for n in range(9)).encode()
    path.write_bytes(content)
    return (load_dataset, lambda p: load_recipe(str(p)), read_pipeline_settings)[which - 2](path)


KINDS: dict[str, Case] = {"images": image, "messages": message, "models": model, "bags": bag, "data": data}


def _megabytes(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    return 0.0


def _forget_peak() -> None:
    # Linux resets the high-water mark of the resident memory.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def run_case(kind: str, seed: int, number: int, folder: Path) -> dict[str, object]:
    """Make and run one case."""
    random = np.random.default_rng([seed, list(KINDS).index(kind), number])
    why, said, refused = "", "", 0
    _forget_peak()
    before, begun = _megabytes("VmRSS"), time.process_time()
    try:
        KINDS[kind](random, folder)
    except FerError as err:
        refused, said = 1, str(err)
        if not str(err).strip() or len(str(err)) > 5000:
            why = f"an error of {len(str(err))} characters"
    except Exception:  # noqa: BLE001 - that is the question
        why = traceback.format_exc()
    seconds, grown = time.process_time() - begun, _megabytes("VmHWM") - before
    if not why and seconds > 10:
        why = f"{seconds:.1f} s"
    if not why and grown > max(200, _promised(folder) + 60):
        why = f"+{grown:.0f} MB"
    return {"case": number, "why": why, "refused": refused, "said": said[:200], "seconds": seconds, "mb": grown}


def main() -> None:
    """Arguments: kind, seed, first case, the one behind the last, a folder to write into."""
    kind, seed, first, stop, folder = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    cv2.setNumThreads(1)
    # Whatever is imported and allocated once is no case's fault; these are not counted.
    for number in range(2):
        warm = Path(folder) / f"warm{number}"
        warm.mkdir()
        run_case(kind, seed + 10**6, number, warm)
    for number in range(first, stop):
        place = Path(folder) / str(number)
        place.mkdir()
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        print(json.dumps(run_case(kind, seed, number, place)), flush=True)
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
