"""Copies a folder of pipeline goldens without what its prompts do not touch.

    python shrink.py FROM TO

Rows of token embeddings and entries of vocabularies that no prompt of FROM/pipelines.json uses are blanked: a checkpoint
then packs to a fraction, and renders the same pictures from these prompts. Needs numpy, onnx, tokenizers.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from tokenizers import Tokenizer, models

EMBEDDING_ROWS = 10_000  # what has more rows than this is a vocabulary


def merge_word(pieces: list[str], ranks: dict[tuple[str, str], int], used: set[tuple[str, str]]) -> None:
    """Byte-pair encoding of one word; notes the merges that it makes."""
    while len(pieces) > 1:
        pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(zip(pieces, pieces[1:]))]
        rank, i = min(pairs)
        if rank == len(ranks):
            return
        used.add((pieces[i], pieces[i + 1]))
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


def prune(path: Path, prompts: list[str]) -> set[int]:
    """Keeps the merges that the prompts make. Returns the ids that they become."""
    tokenizer = Tokenizer.from_file(str(path))
    ids = {i for prompt in prompts for i in tokenizer.encode(prompt).ids}
    data = json.loads(path.read_text())
    if data["model"]["type"] != "BPE":
        return ids
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in data["model"]["merges"]]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    used: set[tuple[str, str]] = set()
    for prompt in prompts:
        text = tokenizer.normalizer.normalize_str(prompt)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            merge_word([*word[:-1], word[-1] + "</w>"], ranks, used)
    vocab = data["model"]["vocab"]
    specials = {token["content"] for token in data["added_tokens"]} | {"!"}
    kept = {a + b for a, b in used} | specials
    data["model"]["merges"] = [list(pair) for pair in merges if pair in used]
    data["model"]["vocab"] = {t: i for t, i in vocab.items() if t in kept or len(t.removesuffix("</w>")) == 1}
    path.write_text(json.dumps(data, ensure_ascii=False))
    assert all(Tokenizer.from_file(str(path)).encode(p).ids == tokenizer.encode(p).ids for p in prompts)
    return ids


def prune_slow(folder: Path, prompts: list[str]) -> set[int]:
    """The same for vocab.json and merges.txt."""
    vocab = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text().split("\n")
    head, merges = lines[0], [tuple(line.split(" ")) for line in lines[1:] if line.strip()]
    fast = folder / "tokenizer.json"
    model = models.BPE(vocab=vocab, merges=merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    donor = json.loads(DONOR.read_text())
    donor["model"] = json.loads(Tokenizer(model).to_str())["model"]
    fast.write_text(json.dumps(donor))
    ids = prune(fast, prompts)
    pruned = json.loads(fast.read_text())["model"]
    fast.unlink()
    (folder / "vocab.json").write_text(json.dumps(pruned["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join([head, *(" ".join(pair) for pair in pruned["merges"])]) + "\n")
    return ids


def blank_embeddings(path: Path, ids: set[int]) -> None:
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        if tensor.dims and tensor.dims[0] > EMBEDDING_ROWS:
            rows = numpy_helper.to_array(tensor).copy()
            unused = np.setdiff1d(np.arange(rows.shape[0]), np.array(sorted(ids)))
            rows[unused] = 0
            tensor.CopyFrom(numpy_helper.from_array(rows, tensor.name))
    onnx.save(model, str(path))


source, target = Path(sys.argv[1]), Path(sys.argv[2])
DONOR = next(source.glob("*/tokenizer/tokenizer.json"))
shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
cases = json.loads((source / "pipelines.json").read_text())["cases"]
for checkpoint in sorted({case["checkpoint"] for case in cases}):
    requests = [case["request"] for case in cases if case["checkpoint"] == checkpoint]
    prompts = sorted({"", *(r.get(key) or "" for r in requests for key in ("prompt", "negative_prompt"))})
    for suffix in ("", "_2", "_3"):
        folder = target / checkpoint / f"tokenizer{suffix}"
        if not folder.exists():
            continue
        ids = prune(folder / "tokenizer.json", prompts) if (folder / "tokenizer.json").exists() else prune_slow(folder, prompts)
        blank_embeddings(target / checkpoint / f"text_encoder{suffix}" / "model.onnx", ids | {0, 49406, 49407})
