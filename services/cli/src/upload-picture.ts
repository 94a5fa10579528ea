import { DarkroomError } from '@darkroom/chassis'
import { readFile } from 'node:fs/promises'
import type { GatewayClient } from './gateway-client.ts'

/**
 * Uploads a picture that items start from. @returns its key
 * @throws DarkroomError that names the file
 */
export async function uploadPicture(gateway: GatewayClient, file: string): Promise<string> {
  const bytes = await readFile(file).catch((reason: Error) => {
    throw unreadable(file, reason)
  })
  try {
    return (await gateway.uploadPicture(new Uint8Array(bytes))).key
  } catch (reason) {
    const { code, message, problems } = DarkroomError.from(reason)
    throw new DarkroomError(code, `${file}: ${message}`, { cause: reason, problems })
  }
}

export function unreadable(file: string, reason: unknown): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', `cannot read ${file}: ${(reason as Error).message}`, { cause: reason })
}
