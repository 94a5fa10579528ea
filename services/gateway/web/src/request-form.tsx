import { call } from './api.ts'
import type { Checkpoint, ItemRequest, Scheduler } from './api.ts'
import { Field } from './components.tsx'
import { schedulerName } from './format.ts'
import { useAsked } from './hooks.ts'

/** What playground and lab ask for in the same way. */
export interface Wanted {
  readonly checkpoint: string
  readonly prompt: string
  readonly negativePrompt: string
  readonly guidanceScale: number
  readonly seed: number
}

export const FIRST_WANTED: Wanted = {
  checkpoint: '',
  prompt: 'a red apple',
  negativePrompt: '',
  guidanceScale: 3.5,
  seed: 7,
}

export interface Choices {
  readonly checkpoints: readonly Checkpoint[]
  readonly schedulers: readonly Scheduler[]
}

export function useChoices() {
  return useAsked<Choices>(async (signal) => {
    const [{ checkpoints }, { schedulers }] = await Promise.all([
      call('get', '/api/v1/checkpoints', { signal }),
      call('get', '/api/v1/schedulers', { signal }),
    ])
    const usable = checkpoints.filter(({ problem, tags }) => problem === null && tags.includes('latest'))
    return { checkpoints: usable, schedulers }
  }, null)
}

function takesPrompt(checkpoint: Checkpoint | undefined): boolean {
  return checkpoint?.description?.promptMaxTokens !== null
}

/** The checkpoint that is meant: the one that was chosen, or the first that takes prompts. */
export function checkpointOf({ checkpoints }: Choices, { checkpoint }: Wanted): Checkpoint | undefined {
  return checkpoints.find(({ name }) => name === checkpoint) ?? checkpoints.find(takesPrompt) ?? checkpoints[0]
}

export function itemOf(wanted: Wanted, checkpoint: Checkpoint): ItemRequest {
  const { prompt, negativePrompt, guidanceScale, seed } = wanted
  return {
    checkpoint: checkpoint.name,
    seed,
    ...(takesPrompt(checkpoint) && { prompt, guidanceScale, ...(negativePrompt !== '' && { negativePrompt }) }),
  }
}

export function RequestFields(props: { wanted: Wanted; choices: Choices; onWanted: (wanted: Wanted) => void }) {
  const { wanted, choices, onWanted } = props
  const checkpoint = checkpointOf(choices, wanted)
  const set = (change: Partial<Wanted>): void => onWanted({ ...wanted, ...change })
  return (
    <>
      <Field label="Checkpoint">
        <select value={checkpoint?.name} onChange={(event) => set({ checkpoint: event.currentTarget.value })}>
          {choices.checkpoints.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </Field>
      {takesPrompt(checkpoint) && (
        <>
          <Field label="Prompt" wide>
            <textarea
              rows={2}
              required
              value={wanted.prompt}
              onInput={(event) => set({ prompt: event.currentTarget.value })}
            />
          </Field>
          <Field label="Negative prompt" wide>
            <input
              value={wanted.negativePrompt}
              onInput={(event) => set({ negativePrompt: event.currentTarget.value })}
            />
          </Field>
          <Field label="Guidance">
            <input
              type="number"
              min={0}
              max={50}
              step={0.5}
              value={wanted.guidanceScale}
              onInput={(event) => set({ guidanceScale: event.currentTarget.valueAsNumber || 0 })}
            />
          </Field>
        </>
      )}
      <Field label="Seed">
        <input
          type="number"
          min={0}
          max={4_294_967_295}
          required
          value={wanted.seed}
          onInput={(event) => set({ seed: event.currentTarget.valueAsNumber || 0 })}
        />
      </Field>
    </>
  )
}

export function SchedulerOptions(props: { schedulers: readonly Scheduler[] }) {
  return (
    <>
      {props.schedulers.map(({ name }) => (
        <option key={name} value={name}>
          {schedulerName(name)}
        </option>
      ))}
    </>
  )
}
