import { DarkroomError, ObjectStore, readConfig, STORE_VARIABLES, storeConfigFrom } from '@darkroom/chassis'
import { Contexts } from './contexts.ts'
import { GatewayClient } from './gateway-client.ts'

const LOCAL_GATEWAY = 'http://127.0.0.1:8080'

export interface GlobalOptions {
  readonly json?: boolean
  readonly gateway?: string
}

/** What every command works with: the gateway, the bucket, and how it speaks. */
export class CommandContext {
  readonly isJson: boolean
  readonly gateway: GatewayClient
  readonly contexts: Contexts
  readonly environment: Readonly<Record<string, string | undefined>>

  constructor(options: GlobalOptions, environment: Readonly<Record<string, string | undefined>>) {
    this.isJson = options.json === true
    this.environment = environment
    this.contexts = new Contexts(environment)
    const given = options.gateway ?? environment['DARKROOM_GATEWAY_URL']
    const login = this.contexts.current
    const url = given ?? login?.gateway ?? LOCAL_GATEWAY
    // A key goes nowhere but to the gateway that it was given for.
    const key = login !== null && login.gateway === url.replace(/\/$/, '') ? login.apiKey : null
    this.gateway = new GatewayClient(url, environment['DARKROOM_API_KEY'] ?? key)
  }

  /** The bucket itself, for what must not go through the farm. @throws DarkroomError INVALID_CONFIG that names every missing variable */
  openStore(): ObjectStore {
    try {
      return ObjectStore.open(storeConfigFrom(readConfig(STORE_VARIABLES, this.environment)))
    } catch (reason) {
      const { code, problems } = DarkroomError.from(reason)
      if (code !== 'INVALID_CONFIG') throw reason
      const message = 'the bucket is not known: export what npm run dev prints, or the DARKROOM_S3_* of your farm'
      throw new DarkroomError(code, message, { cause: reason, problems })
    }
  }

  /** One result: JSON for programs, else a text for people. */
  readonly print = (value: unknown, text: () => string): void => {
    console.log(this.isJson ? JSON.stringify(value) : text())
  }
}
