const PRINTABLE: readonly (readonly [number, number])[] = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
]
const LETTERS = Array.from('abcdefghijklmnopqrstuvwxyz')
const VOCAB_SIZE = 49_408
const END_OF_WORD = '</w>'
const START = '<|startoftext|>'
const END = '<|endoftext|>'

/**
 * A tokenizer in CLIP's form and of its size whose merges were never learned: words over the alphabet, shorter ones first.
 * @returns its files by name
 */
export function clipTokenizer(): Readonly<Record<string, string>> {
  const letters = byteLetters()
  const room = VOCAB_SIZE - 2 * letters.length - 2
  let merges: (readonly [string, string])[] = []
  for (let stems = LETTERS; merges.length < room;) {
    // No more than there is room for.
    const longer = stems
      .slice(0, Math.ceil((room - merges.length) / LETTERS.length))
      .flatMap((stem) => LETTERS.map((letter) => [stem, letter] as const))
    const last = longer.map(([stem, letter]) => [stem, letter + END_OF_WORD] as const)
    merges = [...merges, ...longer, ...last].slice(0, room)
    stems = longer.map((pair) => pair.join(''))
  }
  const tokens = [
    ...letters,
    ...letters.map((letter) => letter + END_OF_WORD),
    ...merges.map((pair) => pair.join('')),
    START,
    END,
  ]
  const config = { bos_token: START, eos_token: END, unk_token: END, pad_token: END }
  return {
    'vocab.json': JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    'merges.txt': `#version: 0.2\n${merges.map((pair) => pair.join(' ')).join('\n')}\n`,
    'special_tokens_map.json': JSON.stringify(config),
    'tokenizer_config.json': JSON.stringify({ ...config, model_max_length: 77, tokenizer_class: 'CLIPTokenizer' }),
  }
}

/** The 256 bytes as characters that can be seen, printable ones first. GPT-2 `bytes_to_unicode`. */
function byteLetters(): string[] {
  const printable = PRINTABLE.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
  const others = Array.from({ length: 256 - printable.length }, (_, i) => 256 + i)
  return [...printable, ...others].map((code) => String.fromCharCode(code))
}
