export { freePort } from './free-port.ts'
export { startNatsServer } from './nats-server.ts'
export type { NatsServer } from './nats-server.ts'
