import { ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import type { ObjectStoreConfig } from '@darkroom/chassis'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { startNatsServer } from './nats-server.ts'
import type { NatsServer, NatsServerOptions } from './nats-server.ts'
import { freePort } from './free-port.ts'
import { COORDINATOR_NODE_FLAGS } from './node-flags.ts'
import { startProgram, tailOf } from './program.ts'
import type { Program } from './program.ts'

export interface FarmOptions {
  /** Holds everything: buckets, NATS storage, logs, the checkpoint cache. */
  readonly directory: string
  readonly workers?: number
  readonly coordinators?: number
  /** Checkpoint folders to push, each tagged latest under its folder's name; by default those of deploy/checkpoints. */
  readonly checkpoints?: readonly string[]
  /** Further environment of every process of a kind. */
  readonly env?: {
    readonly gateway?: Record<string, string>
    readonly coordinator?: Record<string, string>
    readonly worker?: Record<string, string>
    readonly s3?: Record<string, string>
  }
  /** Further environment of one process, by its name: 'gateway', 'coordinator-0', 'worker-1', … */
  readonly envOf?: (name: string) => Record<string, string>
  readonly nats?: Pick<NatsServerOptions, 'configFile' | 'env' | 'scheme'>
  /** Called with a line for people, and the process's name, when one ends that nobody stopped. */
  readonly onDeath?: (message: string, name: string) => void
  /** The port through which one kind of process reaches another: that one's own, unless something is put between them. */
  readonly through?: (from: ProcessKind, to: 'nats' | 's3' | 'coordinator', port: number) => Promise<number>
}

export type ProcessKind = 'gateway' | 'coordinator' | 'worker'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const MAIN = {
  s3: path.join(ROOT, 'deploy/local/s3/main.ts'),
  gateway: path.join(ROOT, 'services/gateway/src/main.ts'),
  coordinator: path.join(ROOT, 'services/coordinator/src/main.ts'),
  worker: path.join(ROOT, 'services/worker/src/main.ts'),
}
const SHIPPED = path.join(ROOT, 'deploy/checkpoints')
const KEYS = { accessKeyId: 'darkroom', secretAccessKey: 'darkroom-on-loopback' }
const BUCKET = 'darkroom'

/** A whole farm of real processes on loopback. */
export class Farm implements AsyncDisposable {
  readonly directory: string
  readonly pins: Readonly<Record<string, string>>
  readonly #options: FarmOptions
  readonly #s3: Program
  readonly #coordinatorPorts: readonly number[]
  #nats: NatsServer
  readonly #programs = new Map<string, Program>()
  readonly #expected = new Set<Program>()

  private constructor(
    options: FarmOptions,
    s3: Program,
    nats: NatsServer,
    coordinatorPorts: readonly number[],
    pins: Record<string, string>,
  ) {
    this.directory = options.directory
    this.#options = options
    this.#s3 = s3
    this.#nats = nats
    this.#coordinatorPorts = coordinatorPorts
    this.pins = pins
  }

  /** Starts everything; what was started is stopped again when a part fails. */
  static async start(options: FarmOptions): Promise<Farm> {
    await using stack = new AsyncDisposableStack()
    const logFolder = path.join(options.directory, 'logs')
    mkdirSync(logFolder, { recursive: true })
    const s3 = await startProgram({
      name: 's3',
      main: MAIN.s3,
      logFolder,
      env: {
        DARKROOM_LOCAL_S3_DIRECTORY: path.join(options.directory, 's3'),
        DARKROOM_LOCAL_S3_PORT: '0',
        DARKROOM_LOCAL_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
        DARKROOM_LOCAL_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
        ...options.env?.s3,
      },
    })
    stack.defer(() => s3.stop())
    const nats = await startNatsServer({ ...options.nats, directory: path.join(options.directory, 'nats') })
    stack.defer(() => nats.stop())
    const pins = await pushAll(storeConfig(s3), options.checkpoints ?? shippedCheckpoints())
    const ports = await Promise.all(Array.from({ length: options.coordinators ?? 1 }, freePort))
    const farm = stack.use(new Farm(options, s3, nats, ports, pins))
    for (const index of ports.keys()) await farm.startCoordinator(index)
    // All are known before one's failure stops them.
    const started = await Promise.allSettled([
      farm.startGateway(),
      ...Array.from({ length: options.workers ?? 2 }, (_, i) => farm.startWorker(i + 1)),
    ])
    const failed = started.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    stack.move()
    return farm
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.program('gateway').ready.httpPort}`
  }

  get storeConfig(): ObjectStoreConfig {
    return storeConfig(this.#s3)
  }

  /** Where each process serves /metrics. */
  get metricsUrls(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...this.#programs].map(([name, { ready }]) => [name, `http://127.0.0.1:${ready.adminPort}/metrics`]),
    )
  }

  /** Environment with which the `darkroom` command reaches this farm and its bucket. */
  get cliEnvironment(): Record<string, string> {
    return { DARKROOM_GATEWAY_URL: this.gatewayUrl, ...storeEnvironment(this.#s3.ready.httpPort!) }
  }

  /** A running process: 'gateway', 'coordinator-0', 'worker-1', … */
  program(name: string): Program {
    const program = this.#programs.get(name)
    if (program === undefined) throw new Error(`no process ${name} in this farm`)
    return program
  }

  get natsPid(): number {
    return this.#nats.pid
  }

  get programs(): readonly Program[] {
    return [this.#s3, ...this.#programs.values()]
  }

  async startGateway(): Promise<Program> {
    return this.#start('gateway', 'gateway', { DARKROOM_GATEWAY_COORDINATORS: await this.#coordinators('gateway') })
  }

  async startWorker(number: number, env: Record<string, string> = {}): Promise<Program> {
    return this.#start(`worker-${number}`, 'worker', {
      DARKROOM_WORKER_ID: `worker-${number}`,
      DARKROOM_WORKER_COORDINATORS: await this.#coordinators('worker'),
      DARKROOM_WORKER_CACHE_DIR: path.join(this.directory, 'checkpoints'),
      ...env,
    })
  }

  startCoordinator(index: number): Promise<Program> {
    return this.#start(`coordinator-${index}`, 'coordinator', {
      DARKROOM_COORDINATOR_PORT: String(this.#coordinatorPorts[index]),
    })
  }

  /** Ends a process and waits; the farm goes on without it. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const program = this.program(name)
    this.#expected.add(program)
    program.kill(signal)
    await program.exited
    this.#programs.delete(name)
  }

  /** Kills every process but nats-server at once, in no order; disposing is still due. */
  killAll(): void {
    for (const program of this.programs) {
      this.#expected.add(program)
      program.kill('SIGKILL')
    }
  }

  /** Kills nats-server, removes all its storage and starts it again on the same port. */
  async wipeNats(): Promise<void> {
    await this.#restartNats(() => {
      rmSync(path.join(this.directory, 'nats', 'store'), { recursive: true, force: true })
    })
  }

  /** Kills nats-server and starts it again with what it has on disk. */
  async killNats(): Promise<void> {
    await this.#restartNats(() => {})
  }

  async #restartNats(meanwhile: () => void): Promise<void> {
    const { port } = this.#nats
    await this.#nats.stop('SIGKILL')
    meanwhile()
    this.#nats = await startNatsServer({
      ...this.#options.nats,
      directory: path.join(this.directory, 'nats'),
      port,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const programs = [...this.#programs.values()]
    for (const program of programs) this.#expected.add(program)
    // Workers first: they hand back what they hold while the others still listen.
    const order = ['gateway', 'worker', 'coordinator']
    for (const kind of order)
      await Promise.all(programs.filter(({ name }) => name.startsWith(kind)).map((program) => program.stop()))
    await this.#nats.stop()
    await this.#s3.stop()
  }

  async #coordinators(from: ProcessKind): Promise<string> {
    const ports = await Promise.all(this.#coordinatorPorts.map((port) => this.#through(from, 'coordinator', port)))
    return ports.map((port) => `127.0.0.1:${port}`).join(',')
  }

  async #through(from: ProcessKind, to: 'nats' | 's3' | 'coordinator', port: number): Promise<number> {
    return (await this.#options.through?.(from, to, port)) ?? port
  }

  async #start(name: string, kind: ProcessKind, own: Record<string, string>): Promise<Program> {
    const natsPort = await this.#through(kind, 'nats', this.#nats.port)
    const s3Port = await this.#through(kind, 's3', this.#s3.ready.httpPort!)
    const prefix = `DARKROOM_${kind.toUpperCase()}`
    const program = await startProgram({
      name,
      main: MAIN[kind],
      ...(kind === 'coordinator' && { nodeFlags: COORDINATOR_NODE_FLAGS }),
      logFolder: path.join(this.directory, 'logs'),
      env: {
        DARKROOM_NATS_URL: `${this.#options.nats?.scheme ?? 'nats'}://127.0.0.1:${natsPort}`,
        ...storeEnvironment(s3Port),
        [`${prefix}_HOST`]: '127.0.0.1',
        [`${prefix}_PORT`]: '0',
        [`${prefix}_ADMIN_PORT`]: '0',
        ...own,
        ...this.#options.env?.[kind],
        ...this.#options.envOf?.(name),
      },
    })
    this.#programs.set(name, program)
    void program.exited.then(() => {
      if (!this.#expected.has(program))
        this.#options.onDeath?.(
          `${name} ended unexpectedly; the end of ${program.logFile}:\n${tailOf(program.logFile)}`,
          name,
        )
    })
    return program
  }
}

function storeConfig(s3: Program): ObjectStoreConfig {
  return {
    endpoint: `http://127.0.0.1:${s3.ready.httpPort}`,
    region: 'us-east-1',
    bucket: BUCKET,
    ...KEYS,
    forcePathStyle: true,
  }
}

function storeEnvironment(port: number): Record<string, string> {
  return {
    DARKROOM_S3_ENDPOINT: `http://127.0.0.1:${port}`,
    DARKROOM_S3_BUCKET: BUCKET,
    DARKROOM_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
    DARKROOM_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  }
}

function shippedCheckpoints(): string[] {
  const folders = readdirSync(SHIPPED, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== 'recipe',
  )
  return folders.map(({ name }) => path.join(SHIPPED, name))
}

async function pushAll(config: ObjectStoreConfig, folders: readonly string[]): Promise<Record<string, string>> {
  using store = ObjectStore.open(config)
  await store.ensureBucket()
  const pins: Record<string, string> = {}
  for (const folder of folders)
    pins[path.basename(folder)] = await pushCheckpoint(store, folder, { name: path.basename(folder), tag: 'latest' })
  return pins
}
