import type { FastifyRequest } from 'fastify'
import type { GatewayConfig } from '../config.ts'

/** Where this gateway is for who asks, without a slash at the end. */
export function baseUrl({ publicUrl }: GatewayConfig, request: FastifyRequest): string {
  return (publicUrl ?? `${request.protocol}://${request.host}`).replace(/\/+$/, '')
}
