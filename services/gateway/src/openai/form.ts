import type { MultipartFile } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { DarkroomError } from '@darkroom/chassis'

/** Texts of a form, by the names of their parts: `expires_after[seconds]` too. */
export type FormFields = Record<string, string>

/**
 * Reads a multipart form part by part, in the order that it has: each file is taken by `onFile` to its end before the next part.
 * @throws DarkroomError INVALID_REQUEST for what is no form, or was cut off
 */
export async function readForm(
  request: FastifyRequest,
  onFile: (part: MultipartFile) => Promise<void>,
): Promise<FormFields> {
  if (!request.isMultipart()) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', 'want multipart/form-data')
  }
  const fields: FormFields = {}
  try {
    for await (const part of request.parts()) {
      if (part.type === 'file') await onFile(part)
      else fields[part.fieldname] = String(part.value)
    }
  } catch (reason) {
    if (reason instanceof DarkroomError) throw reason
    throw new DarkroomError('INVALID_REQUEST', 'the form is broken, was cut off, or has too many parts', {
      cause: reason,
    })
  }
  return fields
}

/** Of a file that is small enough to be held. @throws DarkroomError PAYLOAD_TOO_LARGE */
export async function readPart(part: MultipartFile, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of part.file) {
    bytes += (chunk as Buffer).length
    if (bytes > maxBytes) {
      throw new DarkroomError('PAYLOAD_TOO_LARGE', `${part.fieldname} is longer than ${maxBytes} bytes`)
    }
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

/** What a multipart parser lets through: one of these is over before it costs much. */
export const FORM_LIMITS = {
  fieldNameSize: 100,
  fieldSize: 64 * 1024,
  fields: 64,
  files: 4,
  parts: 68,
  headerPairs: 32,
  /** The routes count the bytes of files themselves. */
  fileSize: Infinity,
} as const
