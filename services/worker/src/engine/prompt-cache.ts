/** Keeps the most recently used prompt embeddings: the negative prompt of a batch is encoded once. */
export class PromptCache {
  readonly #capacity: number
  readonly #entries = new Map<string, Float32Array>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get(prompt: string): Float32Array | undefined {
    const found = this.#entries.get(prompt)
    if (found !== undefined) {
      this.#entries.delete(prompt)
      this.#entries.set(prompt, found)
    }
    return found
  }

  set(prompt: string, embedding: Float32Array): void {
    this.#entries.set(prompt, embedding)
    if (this.#entries.size > this.#capacity) this.#entries.delete(this.#entries.keys().next().value!)
  }
}
