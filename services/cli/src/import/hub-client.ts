import { DarkroomError } from '@darkroom/chassis'
import { HubApiError, listFiles, modelInfo } from '@huggingface/hub'
import { setTimeout as wait } from 'node:timers/promises'
import { isHash } from './content-hash.ts'
import { hubRefusal } from './hub-refusal.ts'
import type { HubSettings } from './hub-settings.ts'

const ATTEMPTS = 6
const MAX_WAIT_MS = 60_000
const COMMIT = /^[0-9a-f]{40}$/

/** A file at one commit. */
export interface HubFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** What its bytes hash to, and its name in the cache: the sha256 of a large file (LFS), the git blob sha1 of a small one. */
  readonly etag: string
}

/** Whether a revision says all by itself. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision)
}

/** Asks the hub about one repository. Waits and asks again where the hub is busy or the line breaks; says what to do where it refuses. */
export class HubClient {
  readonly #repo: string
  readonly #endpoint: string
  readonly #token: string | null
  readonly #backoffMs: number

  constructor(repo: string, { endpoint, token, backoffMs }: HubSettings) {
    this.#repo = repo
    this.#endpoint = endpoint
    this.#token = token
    this.#backoffMs = backoffMs
  }

  /** @throws DarkroomError NOT_FOUND, UNAUTHENTICATED, FORBIDDEN, STORE_UNAVAILABLE */
  async commitOf(revision: string): Promise<string> {
    const { sha } = await this.#asked(
      modelInfo({ name: this.#repo, revision, additionalFields: ['sha'], hubUrl: this.#endpoint, fetch: this.fetch }),
    )
    if (!isCommit(sha) || (isCommit(revision) && sha !== revision))
      throw new DarkroomError(
        'CHECKPOINT_MISMATCH',
        `${this.#endpoint} says that ${this.#repo}@${revision} is commit ${JSON.stringify(sha)}, which it cannot be`,
      )
    return sha
  }

  /** Every file at a commit. @throws as commitOf, and CHECKPOINT_INVALID for an entry without hash or size */
  files(commit: string): Promise<HubFile[]> {
    const listed = listFiles({
      repo: { type: 'model', name: this.#repo },
      revision: commit,
      recursive: true,
      hubUrl: this.#endpoint,
      fetch: this.fetch,
    })
    return this.#asked(
      Array.fromAsync(listed).then((entries) =>
        entries
          .filter(({ type }) => type === 'file')
          .map(({ path, size, oid, lfs }) =>
            checkedFile({ path, size: lfs?.size ?? size, etag: lfs?.oid ?? oid ?? '' }),
          ),
      ),
    )
  }

  /** Asks for a file's bytes from `start` on. */
  open(file: HubFile, commit: string, start: number): Promise<Response> {
    const name = file.path.split('/').map(encodeURIComponent).join('/')
    return this.fetch(`${this.#endpoint}/${this.#repo}/resolve/${commit}/${name}`, {
      // Compressed bytes could neither be counted nor gone on with.
      headers: { 'accept-encoding': 'identity', ...(start > 0 && { range: `bytes=${start}-` }) },
    })
  }

  /** Waits before the nth further attempt; false where enough were made. */
  async pause(attempt: number, response?: Response): Promise<boolean> {
    if (attempt >= ATTEMPTS - 1) return false
    const asked = Number(response?.headers.get('retry-after') ?? 0) * 1000
    await wait(Math.min(MAX_WAIT_MS, Math.max(asked || 0, this.#backoffMs * 2 ** attempt)))
    return true
  }

  /** fetch, with the token for the hub alone: a redirect to another host goes without it, as the fetch standard has it. */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init.headers)
    if (this.#token !== null && url.origin === new URL(this.#endpoint).origin)
      headers.set('authorization', `Bearer ${this.#token}`)
    for (let attempt = 0; ; attempt++) {
      const answer = await fetch(url, { ...init, headers }).catch((reason: unknown) => reason as Error)
      if (answer instanceof Error) {
        if (await this.pause(attempt)) continue
        throw this.unreachable(answer)
      }
      if (answer.ok || answer.status === 416) return answer
      await answer.body?.cancel()
      if ((answer.status === 429 || answer.status >= 500) && (await this.pause(attempt, answer))) continue
      throw hubRefusal(answer, this.#repo, this.#endpoint, this.#token !== null)
    }
  }

  unreachable(cause: unknown): DarkroomError {
    return new DarkroomError(
      'STORE_UNAVAILABLE',
      `cannot reach the hub at ${this.#endpoint}: ${reasonOf(cause)}. What is in the cache can be imported with --offline`,
      { cause },
    )
  }

  /** What the client library threw, in our words. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (reason) {
      if (reason instanceof DarkroomError) throw reason
      if (reason instanceof HubApiError || reason instanceof SyntaxError || reason instanceof TypeError)
        throw new DarkroomError(
          'STORE_UNAVAILABLE',
          `${this.#endpoint} does not answer as a Hugging Face hub does: ${reason.message}`,
          { cause: reason },
        )
      throw reason
    }
  }
}

/** The hash becomes the name of a file, so it must be one. */
function checkedFile(file: HubFile): HubFile {
  const isSound = isHash(file.etag) && Number.isSafeInteger(file.size) && file.size >= 0
  if (isSound && typeof file.path === 'string') return file
  throw new DarkroomError(
    'CHECKPOINT_INVALID',
    `the hub lists ${JSON.stringify(file.path)} without a usable hash or size`,
  )
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
