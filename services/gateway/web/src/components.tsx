import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Asked } from './hooks.ts'
import type { BatchProgress } from './api.ts'

export function Page(props: {
  title: string
  lead?: ComponentChildren
  actions?: ComponentChildren
  children: ComponentChildren
}) {
  useEffect(() => {
    document.title = `${props.title} · Darkroom`
  }, [props.title])
  return (
    <main id="main" tabIndex={-1}>
      <header class="page-head">
        <div>
          <h1>{props.title}</h1>
          {props.lead !== undefined && <p class="lead">{props.lead}</p>}
        </div>
        {props.actions !== undefined && <div class="actions">{props.actions}</div>}
      </header>
      {props.children}
    </main>
  )
}

export function Card(props: { title?: string; note?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`card ${props.class ?? ''}`}>
      {props.title !== undefined && (
        <h2>
          {props.title}
          {props.note !== undefined && <small>{props.note}</small>}
        </h2>
      )}
      {props.children}
    </section>
  )
}

export function Figure(props: { label: string; value: ComponentChildren; note?: string; isBad?: boolean }) {
  return (
    <div class={`figure ${props.isBad ? 'bad' : ''}`}>
      <dt>{props.label}</dt>
      <dd>{props.value}</dd>
      {props.note !== undefined && <dd class="note">{props.note}</dd>}
    </div>
  )
}

/** What was asked for, or that it is on its way, or why it is not there. */
export function Shown<T>(props: { asked: Asked<T>; children: (value: T) => ComponentChildren }) {
  const { value, error } = props.asked
  return (
    <>
      {error !== null && <Trouble error={error} />}
      {value !== null ? props.children(value) : error === null && <p class="quiet loading">Loading …</p>}
    </>
  )
}

export function Trouble(props: { error: Error }) {
  return (
    <p class="trouble" role="alert">
      {props.error.message}
    </p>
  )
}

export function Empty(props: { children: ComponentChildren }) {
  return <p class="empty">{props.children}</p>
}

/** Rendered, failed and cancelled items of all. */
export function Progress(props: { batch: BatchProgress }) {
  const { items, itemCount, id } = props.batch
  const { rendered, failed, cancelled } = items
  return <Bar label={`Items of ${id} that have ended`} parts={{ rendered, failed, cancelled }} total={itemCount} />
}

/** How much of a total has ended, and how. */
export function Bar(props: {
  label: string
  parts: Readonly<Partial<Record<'rendered' | 'failed' | 'cancelled', number>>>
  total: number
}) {
  const { label, parts, total } = props
  return (
    <div
      class="progress"
      role="progressbar"
      aria-label={label}
      aria-valuenow={Object.values(parts).reduce((sum, n) => sum + n, 0)}
      aria-valuemin={0}
      aria-valuemax={total}
    >
      {Object.entries(parts).map(([how, n]) => (
        <i key={how} class={how} style={{ width: `${(100 * n) / Math.max(1, total)}%` }} />
      ))}
    </div>
  )
}

export function BatchState(props: { batch: BatchProgress }) {
  const { state, paused, approval, atRisk } = props.batch
  return <State state={paused ? 'paused' : approval?.state === 'waiting' ? 'waiting' : state} isLate={atRisk} />
}

export function State(props: { state: string; isLate?: boolean }) {
  const word = props.state
  return (
    <span class={`state ${word}`}>
      {word}
      {props.isLate && <b> late</b>}
    </span>
  )
}

export function Field(props: { label: string; hint?: string; children: ComponentChildren; wide?: boolean }) {
  return (
    <label class={`field ${props.wide ? 'wide' : ''}`}>
      <span>{props.label}</span>
      {props.children}
      {props.hint !== undefined && <small>{props.hint}</small>}
    </label>
  )
}

/** A panel over the page, left with Escape or its button. */
export function Drawer(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const element = dialog.current!
    element.showModal()
    return () => element.close()
  }, [])
  return (
    <dialog ref={dialog} class="drawer" aria-label={props.title} onClose={props.onClose}>
      <header>
        <h2>{props.title}</h2>
        <button type="button" class="plain" onClick={props.onClose} aria-label="Close">
          <Icon name="close" />
        </button>
      </header>
      <div class="drawer-body">{props.children}</div>
    </dialog>
  )
}

const ICONS = {
  close: 'M5 5l14 14M19 5L5 19',
  overview: 'M4 20V11M10 20V4M16 20v-7M22 20H2',
  batches: 'M4 5h16M4 12h16M4 19h10',
  lab: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  play: 'M7 4l13 8-13 8z',
  workers: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01',
  checkpoints: 'M12 3l9 5-9 5-9-5zM3 13l9 5 9-5',
  ledger: 'M5 3h14v18l-3-2-2 2-2-2-2 2-2-2-3 2zM9 8h6M9 12h6',
  keys: 'M15 9a4 4 0 1 1-4-4 4 4 0 0 1 4 4zM14 12l7 7M18 16l-2 2',
  theme: 'M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z',
} as const

export function Icon(props: { name: keyof typeof ICONS }) {
  return (
    <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" class="icon">
      <path d={ICONS[props.name]} />
    </svg>
  )
}
