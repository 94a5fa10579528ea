import { Type } from 'typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { A1111_SAMPLERS, a1111Item, inA1111Names } from '../adapters/a1111-item.ts'
import type { A1111Body } from '../adapters/a1111-item.ts'
import { callerOf } from '../auth/caller.ts'
import { termsOf } from '../auth/tenants.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import { patiently } from '../now/patiently.ts'
import { previewEvery } from '../now/preview-every.ts'
import { renderNow } from '../now/render-now.ts'

const PREVIEWS = 10
const SPACINGS = ['Automatic', 'Karras', 'Exponential', 'Beta', 'Simple', 'SGM Uniform'] as const

/** How far the newest picture of a tenant is that this gateway renders. */
interface Progress {
  progress: number
  step: number
  steps: number
  image: string | null
  readonly startedAtMs: number
}

const bodySchema = Type.Record(Type.String(), Type.Unknown(), {
  examples: [{ prompt: 'a red apple', steps: 20, sampler_name: 'DPM++ 2M', scheduler: 'Karras', seed: 7 }],
})
const answerSchema = Type.Object({
  images: Type.Array(Type.String({ description: 'Base64.' })),
  parameters: bodySchema,
  info: Type.String({ description: 'JSON.' }),
})

/** What programs need that speak AUTOMATIC1111's API alone. */
export function a1111(app: App, context: GatewayContext): void {
  const { catalog, config, intakeRules, store } = context
  const running = new Map<string, Progress>()

  const render = async (task: 'txt2img' | 'img2img', request: FastifyRequest, reply: FastifyReply) => {
    const body = request.body as A1111Body
    const { item, problems } = a1111Item(body, task)
    if (problems.length > 0) throw new DarkroomError('INVALID_REQUEST', 'the request is not valid', { problems })
    const { tenant } = callerOf(request)
    const progress: Progress = { progress: 0, step: 0, steps: 0, image: null, startedAtMs: Date.now() }
    running.set(tenant, progress)
    try {
      const previews = await previewEvery(context, item, PREVIEWS)
      const { batch, images, width, height } = await patiently(request, reply, config.idleMs, async (signal) =>
        renderNow(context, {
          tenant,
          item: { ...item, previewEvery: previews },
          locate: inA1111Names,
          traceparent: traceparentOf(request.headers['traceparent']),
          tellQuota: quotaHeaders(reply),
          signal,
          onPreview: ({ step, steps, jpeg }) =>
            void Object.assign(progress, {
              step,
              steps,
              progress: step / steps,
              image: Buffer.from(jpeg).toString('base64'),
            }),
        }),
      )
      const pictures = await Promise.all(images.map(async ({ name }) => store.get(keys.image(batch.id, name))))
      const seeds = images.map(({ seed }) => seed)
      const info = { prompt: item.prompt, all_seeds: seeds, seed: seeds[0], width, height, darkroom_batch_id: batch.id }
      return {
        images: pictures.map((bytes) => Buffer.from(bytes ?? []).toString('base64')),
        parameters: body,
        info: JSON.stringify(info),
      }
    } finally {
      if (running.get(tenant) === progress) running.delete(tenant)
    }
  }

  for (const task of ['txt2img', 'img2img'] as const) {
    app.route({
      method: 'POST',
      url: `/sdapi/v1/${task}`,
      config: { scope: 'write' },
      schema: {
        operationId: `a1111_${task}`,
        summary: `Render pictures as A1111’s ${task} does`,
        description:
          'Without width, height, steps or cfg_scale the checkpoint’s own hold. override_settings.sd_model_checkpoint names it.',
        tags: ['adapters'],
        body: bodySchema,
        response: { 200: answerSchema, ...problemResponses },
      },
      handler: async (request, reply) => render(task, request, reply),
    })
  }

  const list = <T>(path: string, summary: string, read: (request: FastifyRequest) => Promise<T>): void => {
    app.route({
      method: 'GET',
      url: `/sdapi/v1/${path}`,
      config: { scope: 'read' },
      schema: {
        operationId: `a1111_${path.replace('-', '_')}`,
        summary,
        tags: ['adapters'],
        response: { 200: Type.Unknown(), ...problemResponses },
      },
      handler: read,
    })
  }
  list('samplers', 'List samplers', async () => A1111_SAMPLERS)
  list('schedulers', 'List spacings of noise levels', async () =>
    SPACINGS.map((label) => ({ name: label.toLowerCase().replace(' ', '_'), label })),
  )
  list('sd-models', 'List checkpoints', async (request) => {
    const { checkpoints } = termsOf(intakeRules.tenants, callerOf(request).tenant)
    const names = await catalog.names()
    return names
      .filter((name) => checkpoints?.includes(name) ?? true)
      .map((name) => ({ title: name, model_name: name, filename: name, hash: null, sha256: null, config: null }))
  })
  list('options', 'What is chosen where a request says nothing', async () => ({
    sd_model_checkpoint: config.defaultCheckpoint,
    samples_format: 'png',
  }))
  list('progress', 'How far the newest picture of the caller is, that this gateway renders', async (request) => {
    const newest = running.get(callerOf(request).tenant)
    const { progress = 0, step = 0, steps = 0, image = null, startedAtMs = 0 } = newest ?? {}
    const seconds = (Date.now() - startedAtMs) / 1000
    return {
      progress,
      eta_relative: progress === 0 ? 0 : (seconds / progress) * (1 - progress),
      state: { job_count: Number(newest !== undefined), sampling_step: step, sampling_steps: steps },
      current_image: image,
      textinfo: null,
    }
  })
}
