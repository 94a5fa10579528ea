"""Step 0: a small CLIP-style tokenizer, byte-level BPE with the end-of-word suffix "</w>".

All 256 bytes are in the vocabulary with and without the suffix, so that any text tokenises; the merges are learnt on
the captions.
"""

import argparse
import collections
import json
from pathlib import Path

from transformers import CLIPTokenizer

import emoji_data

# Everyday words beside the captions, so that other prompts stay short.
EXTRA_WORDS = (
    "the of and in on with blurry low quality bad ugly photo image painting cute small big happy sad pink white black "
    "red green blue yellow orange purple brown grey golden dark light beautiful high detailed style one two three"
).split()
EXTRA_WORD_COUNT = 5
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """A printable letter for each byte, in the order of GPT-2 and CLIP: the printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [256 + n for n in range(256 - len(printable))]
    return [chr(code) for code in printable + others]


def count_words() -> collections.Counter:
    """How often each word stands in the captions."""
    all_captions = [caption for short in emoji_data.SUBSET for caption in emoji_data.captions(short)]
    words = collections.Counter(word for text in all_captions for word in text.lower().replace(",", " ").split())
    words.update({word: EXTRA_WORD_COUNT for word in EXTRA_WORDS if word not in words})
    return words


def merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """A word's symbols with every occurrence of a pair made one."""
    merged, i = [], 0
    while i < len(symbols):
        is_pair = i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair
        merged.append(symbols[i] + symbols[i + 1] if is_pair else symbols[i])
        i += 2 if is_pair else 1
    return merged


def learn_merges(words: collections.Counter, limit: int) -> list[tuple[str, str]]:
    """Byte pair encoding: again and again the commonest pair of neighbours, among equals the last by alphabet."""
    split = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    while len(merges) < limit:
        pairs = collections.Counter()
        for word, symbols in split.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        split = {word: merge(symbols, best) for word, symbols in split.items()}
    return merges


def special_tokens() -> dict[str, object]:
    """special_tokens_map.json as CLIP's own."""

    def token(content: str, normalized: bool) -> dict[str, object]:
        return {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False}

    return {
        "bos_token": token(START, True),
        "eos_token": token(END, True),
        "unk_token": token(END, True),
        "pad_token": END,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write the tokenizer into")
    parser.add_argument(
        "--max-length", type=int, default=32, help="tokens of a prompt, both ends included (default 32)"
    )
    parser.add_argument("--merges", type=int, default=700, help="merges to learn at most (default 700)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    merges = learn_merges(count_words(), args.merges)
    letters = byte_letters()
    symbols = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges]
    vocabulary = [*dict.fromkeys(symbols), START, END]
    texts = {
        "vocab.json": json.dumps({token: i for i, token in enumerate(vocabulary)}, ensure_ascii=False),
        "merges.txt": "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n",
        "special_tokens_map.json": json.dumps(special_tokens(), indent=2),
    }

    def write() -> None:
        for name, text in texts.items():
            (args.out / name).write_text(text, encoding="utf-8")

    write()
    tokenizer = CLIPTokenizer(
        str(args.out / "vocab.json"), str(args.out / "merges.txt"), model_max_length=args.max_length, pad_token=END
    )
    tokenizer.save_pretrained(args.out)
    # Newer versions of transformers write tokenizer.json alone.
    write()

    tokenizer = CLIPTokenizer.from_pretrained(args.out)
    for text in ["a red apple", "An Emoji of a RED heart!", "naïve café 東京 🐿️", ""]:
        ids = tokenizer(text).input_ids
        print(repr(text), ids, tokenizer.convert_ids_to_tokens(ids))
    all_captions = [caption for short in emoji_data.SUBSET for caption in emoji_data.captions(short)]
    longest = max(len(tokenizer(caption).input_ids) for caption in all_captions)
    print(f"vocabulary {len(vocabulary)}, merges {len(merges)}, longest caption {longest} tokens")


if __name__ == "__main__":
    main()
