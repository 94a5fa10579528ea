import { Farm, freePort } from '@darkroom/local'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Links } from './links.ts'
import { SmallDisk } from './small-disk.ts'

const WORKERS = [1, 2]
const COORDINATORS = [0, 1]
const DISK_MIB = 1_024
const RETRY_MS = 500
/** Short, so that what is lost is noticed within a fault. */
const ENVIRONMENT = {
  coordinator: {
    DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS: '1',
    DARKROOM_COORDINATOR_LEADER_LEASE_MS: '3000',
    DARKROOM_COORDINATOR_WORKER_LEASE_MS: '3000',
    DARKROOM_COORDINATOR_PROGRESS_LEASE_MS: '20000',
    DARKROOM_COORDINATOR_AUDIT_SHARE: '0.1',
  },
}

/** A farm of real processes that can be done harm to, with a supervisor that starts again what ends by itself. */
export class ChaosFarm implements AsyncDisposable {
  readonly farm: Farm
  readonly links: Links
  readonly disk: SmallDisk
  /** Processes that ended although nobody killed them. */
  readonly deaths: string[] = []
  readonly #frozen = new Set<number>()
  readonly #stack: AsyncDisposableStack
  #isOver = false

  private constructor(farm: Farm, links: Links, disk: SmallDisk, stack: AsyncDisposableStack) {
    this.farm = farm
    this.links = links
    this.disk = disk
    this.#stack = stack
  }

  static async start(directory: string): Promise<ChaosFarm> {
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rmSync(directory, { recursive: true, force: true }))
    const disk = stack.use(new SmallDisk(path.join(directory, 's3'), DISK_MIB))
    const links = stack.use(new Links())
    let chaos: ChaosFarm | null = null
    const farm = stack.use(
      await Farm.start({
        directory,
        workers: WORKERS.length,
        coordinators: COORDINATORS.length,
        // A gateway that is started again is where it was.
        env: { ...ENVIRONMENT, gateway: { DARKROOM_GATEWAY_PORT: String(await freePort()) } },
        through: (from, to, port) => links.between(from, to, port),
        onDeath: (_message, name) => chaos?.noteDeath(name),
      }),
    )
    chaos = new ChaosFarm(farm, links, disk, stack.move())
    return chaos
  }

  get workers(): readonly string[] {
    return WORKERS.map((n) => `worker-${n}`)
  }

  get coordinators(): readonly string[] {
    return COORDINATORS.map((n) => `coordinator-${n}`)
  }

  /** Null while nobody says so. */
  async leader(): Promise<string | null> {
    for (const [name, url] of Object.entries(this.farm.metricsUrls)) {
      if (!name.startsWith('coordinator')) continue
      const text = await fetch(url).then(
        (response) => response.text(),
        () => '',
      )
      if (/^darkroom_coordinator_leader 1$/m.test(text)) return name
    }
    return null
  }

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.farm.kill(name, signal)
  }

  /** Tries until it comes up: what it needs may be away too. */
  async restart(name: string): Promise<void> {
    const number = Number(name.split('-')[1])
    while (!this.#isOver) {
      try {
        if (name === 'gateway') await this.farm.startGateway()
        else if (name.startsWith('worker')) await this.farm.startWorker(number)
        else await this.farm.startCoordinator(number)
        return
      } catch {
        await delay(RETRY_MS)
      }
    }
  }

  /** Freezes a process. @returns what thaws it */
  stop(name: string): () => void {
    const pid = name === 'nats' ? this.farm.natsPid : this.farm.program(name).pid
    process.kill(pid, 'SIGSTOP')
    this.#frozen.add(pid)
    return () => this.#thaw(pid)
  }

  noteDeath(name: string): void {
    if (this.#isOver) return
    this.deaths.push(name)
    void this.restart(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    for (const pid of this.#frozen) this.#thaw(pid)
    await this.#stack.disposeAsync()
  }

  #thaw(pid: number): void {
    if (this.#frozen.delete(pid)) process.kill(pid, 'SIGCONT')
  }
}
