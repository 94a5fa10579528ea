import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'
import { sendRequest } from './store-request.ts'
import type { RequestListener } from './store-request.ts'

interface Upload {
  readonly client: S3Client
  readonly target: { readonly Bucket: string; readonly Key: string }
  readonly headers: { readonly ContentType?: string }
  readonly abortable: { readonly abortSignal?: AbortSignal }
  readonly onRequest: RequestListener
}

/** Uploads an object in parts, one after the other; on any failure nothing is left. */
export async function uploadParts(
  { client, target, headers, abortable, onRequest }: Upload,
  parts: AsyncIterable<Buffer>,
): Promise<void> {
  const create = new CreateMultipartUploadCommand({ ...target, ...headers })
  const { UploadId } = await sendRequest('CreateMultipartUpload', () => client.send(create), onRequest)
  const upload = { ...target, UploadId }
  const uploaded: CompletedPart[] = []
  try {
    for await (const Body of parts) {
      const PartNumber = uploaded.length + 1
      const put = new UploadPartCommand({ ...upload, PartNumber, Body })
      const { ETag } = await sendRequest('UploadPart', () => client.send(put, abortable), onRequest)
      uploaded.push({ PartNumber, ETag })
    }
    const complete = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: uploaded } })
    await sendRequest('CompleteMultipartUpload', () => client.send(complete), onRequest)
  } catch (reason) {
    const abort = new AbortMultipartUploadCommand(upload)
    await sendRequest('AbortMultipartUpload', () => client.send(abort), onRequest, { missing: true })
    throw reason
  }
}
